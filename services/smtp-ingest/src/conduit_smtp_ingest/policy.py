"""What may be delivered to whom: pure functions that return a verdict with its reason."""

from conduit.mail.trace import received_count
from conduit.model.verdict import Accept, Reason, Reject, Verdict
from conduit.model.webhook import Webhook

LOOP_HOPS = 100
"""`Received` fields that make a loop (RFC 5321 §6.3)."""


def decide_recipient(webhook: Webhook | None) -> Verdict:
    """Decide at RCPT, by the webhook of the address, if it has one."""
    if webhook is None:
        return Reject(Reason.UNKNOWN_ADDRESS)
    if not webhook.active:
        return Reject(Reason.INACTIVE_WEBHOOK)
    return Accept()


def decide_message(raw: bytes) -> Verdict:
    """Decide at the end of DATA."""
    if received_count(raw) >= LOOP_HOPS:
        return Reject(Reason.MAIL_LOOP)
    return Accept()
