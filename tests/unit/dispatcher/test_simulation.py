"""The mail of a simulation, as it is parsed for the call."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.events import SimulationRequested
from conduit.mail.parse import parse
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook
from conduit_dispatcher.simulation import simulated_mail

NOW = datetime(2026, 4, 2, 12, 0, tzinfo=UTC)


def webhook(address: str = "alerts@example.com") -> Webhook:
    now = utc_now()
    return Webhook(
        id="wh_01arz3ndektsv4rrffq69g5fav",
        created_at=now,
        updated_at=now,
        account_id="acc_1",
        address=address,
        target_url="https://example.com/",
        secret=Sealed("sealed"),
    )


def request(
    subject: str = "Hello", text: str = "It works.", sender: str = "ann@example.com"
) -> SimulationRequested:
    return SimulationRequested(webhook().id, sender, subject, text, timeout=1)


def test_the_mail_says_what_was_asked_for() -> None:
    event = simulated_mail(request("Grüße", "one\n\ntwo\r\n.three"), webhook(), NOW)
    assert event.raw is not None
    assert event.size == len(event.raw)
    assert event.envelope.mail_from == "ann@example.com"
    assert event.envelope.recipients == ("alerts@example.com",)
    mail = parse(event.raw)
    assert (mail.subject, mail.text) == ("Grüße", "one\n\ntwo\n.three\n")
    assert mail.date == NOW
    assert mail.message_id == f"<{event.delivery_id}@conduit.invalid>"
    assert mail.from_ is not None
    assert mail.from_.address == "ann@example.com"
    assert [mailbox.address for mailbox in mail.to] == ["alerts@example.com"]
    assert not mail.notes


@pytest.mark.parametrize("sender", ["jörg@example.com", '"a b"@example.com', "a+b@example.com"])
def test_unusual_senders_survive(sender: str) -> None:
    event = simulated_mail(request(sender=sender), webhook(), NOW)
    assert event.raw is not None
    assert parse(event.raw).from_ is not None
    assert event.envelope.mail_from == sender


def test_each_is_another_mail() -> None:
    one, other = (simulated_mail(request(), webhook(), NOW) for _ in range(2))
    assert one.delivery_id != other.delivery_id
    assert one.message_id != other.message_id


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))), st.text())
def test_no_content_becomes_a_header(subject: str, text: str) -> None:
    event = simulated_mail(request(subject, text), webhook(), NOW)
    assert event.raw is not None
    mail = parse(event.raw)
    assert mail.headers == parse(simulated_mail(request(), webhook(), NOW).raw or b"").headers
    assert "".join((mail.text or "").split()) == "".join(text.replace("\0", "\ufffd").split())
