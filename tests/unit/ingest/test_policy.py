"""What may be delivered to whom."""

from datetime import UTC, datetime

import pytest

from conduit.model.verdict import Accept, Reason, Reject, Verdict
from conduit.model.webhook import Sealed, Webhook
from conduit_smtp_ingest.policy import LOOP_HOPS, decide_message, decide_recipient

NOW = datetime(2028, 1, 1, tzinfo=UTC)
ACTIVE = Webhook(
    id="wh_1",
    created_at=NOW,
    updated_at=NOW,
    account_id="acc_1",
    address="a@example.com",
    target_url="https://example.com/",
    secret=Sealed("sealed"),
)
HOP = b"Received: from a by b; Sat, 1 Jan 2028 00:00:00 +0000\r\n"
FOLDED_HOP = b"received : from a\r\n\tby b\r\n Received: not this\r\n"


@pytest.mark.parametrize(
    ("webhook", "verdict"),
    [
        (ACTIVE, Accept()),
        (ACTIVE.model_copy(update={"active": False}), Reject(Reason.INACTIVE_WEBHOOK)),
        (None, Reject(Reason.UNKNOWN_ADDRESS)),
    ],
)
def test_recipients(webhook: Webhook | None, verdict: Verdict) -> None:
    assert decide_recipient(webhook) == verdict


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
