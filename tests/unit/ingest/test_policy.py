"""What may be delivered to whom: the decisions over recipients and mails."""

import pytest

from conduit.model.record import utc_now
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit_smtp_ingest.policy import LOOP_HOPS, decide_message, decide_recipient

ID = "wh_01arz3ndektsv4rrffq69g5fav"
OWNER, OTHER = "acc_owner", "acc_other"


def webhook(**fields: object) -> Webhook:
    now = utc_now()
    known = {
        "id": ID,
        "created_at": now,
        "updated_at": now,
        "account_id": OWNER,
        "address": public_address(ID, "incoming.localhost"),
        "target_url": "https://example.com/",
        "secret": Sealed("sealed"),
    }
    return Webhook.model_validate(known | fields)


PUBLIC = webhook()
OWN = webhook(address="alerts@example.com")
LOOKS_PUBLIC = webhook(address=public_address(ID, "example.com"))
ANOTHERS_NAME = webhook(address=public_address("wh_01arz3ndektsv4rrffq69g5faw", "example.com"))

HOP = b"Received: from a by b; Sat, 1 Jan 2028 00:00:00 +0000\r\n"
FOLDED_HOP = b"received : from a\r\n\tby b\r\n Received: not this\r\n"

UNKNOWN = Reject(Reason.UNKNOWN_ADDRESS)
INACTIVE = Reject(Reason.INACTIVE_WEBHOOK)
UNVERIFIED = Defer(Reason.DOMAIN_NOT_VERIFIED)
UNCHECKED = Defer(Reason.POLICY_NOT_ENFORCED)


@pytest.mark.parametrize(
    ("found", "domain_owner", "verdict"),
    [
        (None, None, UNKNOWN),
        (PUBLIC, None, Accept()),
        (OWN, OWNER, Accept()),
        (OWN, None, UNVERIFIED),
        (OWN, OTHER, UNKNOWN),
        (LOOKS_PUBLIC, OTHER, UNKNOWN),
        (ANOTHERS_NAME, None, UNVERIFIED),
        (webhook(active=False), None, INACTIVE),
        (webhook(active=False, address="alerts@example.com"), OTHER, UNKNOWN),
        (webhook(smtp_security_policy_id="pol_1"), None, UNCHECKED),
        (webhook(smtp_security_policy_id="pol_1", active=False), None, INACTIVE),
        (webhook(smtp_security_policy_id="pol_1", address="a@example.com"), OTHER, UNKNOWN),
    ],
)
def test_a_recipient_is_decided_over(
    found: Webhook | None, domain_owner: str | None, verdict: Verdict
) -> None:
    assert decide_recipient(found, domain_owner) == verdict


@pytest.mark.parametrize(
    ("raw", "verdict"),
    [
        (b"", Accept()),
        (b"\r\n", Accept()),
        (b"\xff\x00", Accept()),
        (HOP * (LOOP_HOPS - 1) + b"\r\nx", Accept()),
        (HOP * LOOP_HOPS + b"\r\nx", Reject(Reason.MAIL_LOOP)),
        (FOLDED_HOP * (LOOP_HOPS - 1) + b"\r\nx", Accept()),
        (FOLDED_HOP * LOOP_HOPS + b"\r\nx", Reject(Reason.MAIL_LOOP)),
        (b"Subject: x\r\n\r\n" + HOP * LOOP_HOPS, Accept()),
    ],
)
def test_messages(raw: bytes, verdict: Verdict) -> None:
    assert decide_message(raw) == verdict
