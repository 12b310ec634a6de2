"""What may be delivered to whom: pure functions that return a verdict with its reason."""

from conduit.mail.trace import received_count
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import Webhook

LOOP_HOPS = 100
"""`Received` fields that make a loop (RFC 5321 §6.3)."""


def decide_recipient(webhook: Webhook | None, domain_owner: str | None) -> Verdict:
    """Decide at RCPT, by the webhook of the address, if it has one, and who owns the domain.

    `domain_owner` is the account that has verified the address's domain, None when nobody has. A
    webhook may be left over from an account whose verification has ended: another account that
    has verified the domain since then must not lose its mail to it. While nobody has, the mail
    waits for the former owner to put the DNS record back.
    """
    if webhook is None or domain_owner not in (None, webhook.account_id):
        return Reject(Reason.UNKNOWN_ADDRESS)
    if not webhook.active:
        return Reject(Reason.INACTIVE_WEBHOOK)
    if domain_owner is None and not webhook.has_public_address:
        return Defer(Reason.DOMAIN_NOT_VERIFIED)
    if webhook.smtp_security_policy_id is not None:
        # Its checks are not made yet, and mail that was not checked must not get through.
        return Defer(Reason.POLICY_NOT_ENFORCED)
    return Accept()


def decide_message(raw: bytes) -> Verdict:
    """Decide at the end of DATA."""
    if received_count(raw) >= LOOP_HOPS:
        return Reject(Reason.MAIL_LOOP)
    return Accept()
