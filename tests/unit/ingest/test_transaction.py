"""One mail's recipients, and the envelope of each webhook."""

from datetime import UTC, datetime
from typing import Any

import pytest

from conduit.mail.address import parse_address
from conduit.model.webhook import Sealed, Webhook
from conduit_smtp_ingest.transaction import Client, Recipient, Transaction

NOW = datetime(2028, 1, 1, tzinfo=UTC)
CLIENT = Client("192.0.2.1", "client.example", tls="TLSv1.3")


def webhook(number: int, account: int = 1, **fields: Any) -> Webhook:
    return Webhook(
        id=f"wh_{number}",
        created_at=NOW,
        updated_at=NOW,
        account_id=f"acc_{account}",
        address=f"hook{number}@example.org",
        target_url="https://example.com/",
        secret=Sealed("sealed"),
        **fields,
    )


def to(hook: Webhook, address: str | None = None, tag: str | None = None) -> Recipient:
    return Recipient(parse_address(address or hook.address), hook, tag)


def mail(*recipients: Recipient, sender: str | None = "ann@example.com") -> Transaction:
    return Transaction(parse_address(sender) if sender else None, False, list(recipients))


def test_an_envelope_tells_of_the_session_and_the_sender() -> None:
    [(hook, envelope)] = mail(to(webhook(1))).envelopes(CLIENT)
    assert hook == webhook(1)
    assert (envelope.mail_from, envelope.recipients) == ("ann@example.com", ("hook1@example.org",))
    assert (envelope.helo, envelope.remote_ip) == ("client.example", "192.0.2.1")
    assert (envelope.tls, envelope.authenticated_as, envelope.tag) == ("TLSv1.3", None, None)


def test_the_null_sender_is_an_empty_one() -> None:
    [(_, envelope)] = mail(to(webhook(1)), sender=None).envelopes(CLIENT)
    assert envelope.mail_from == ""


def test_each_webhook_has_one_envelope_with_its_own_recipients_as_they_were_written() -> None:
    one, other = webhook(1), webhook(2)
    recipients = (to(one), to(other), to(one, "HOOK1@example.org"), to(one), to(other))
    [(first, of_one), (second, of_other)] = mail(*recipients).envelopes(CLIENT)
    assert (first, second) == (one, other)
    assert of_one.recipients == ("hook1@example.org", "HOOK1@example.org")
    assert of_other.recipients == ("hook2@example.org",)


def test_the_first_tag_counts() -> None:
    hook = webhook(1)
    recipients = (to(hook), to(hook, "hook1+a@example.org", "a"), to(hook, tag="b"))
    [(_, envelope)] = mail(*recipients).envelopes(CLIENT)
    assert envelope.tag == "a"


@pytest.mark.parametrize(("policy", "told"), [("pol_1", "printer"), ("pol_2", None), (None, None)])
def test_only_a_webhook_whose_policy_has_the_user_is_told_who_it_was(
    policy: str | None, told: str | None
) -> None:
    client = Client("192.0.2.1", authenticated_as="printer", satisfied=frozenset({"pol_1"}))
    hook = webhook(1, smtp_security_policy_id=policy)
    [(_, envelope)] = mail(to(hook)).envelopes(client)
    assert envelope.authenticated_as == told


def test_a_mail_is_shared_when_it_is_for_several_accounts() -> None:
    assert not mail(to(webhook(1))).shared
    assert not mail(to(webhook(1)), to(webhook(2))).shared
    assert mail(to(webhook(1)), to(webhook(2)), to(webhook(3, account=2))).shared


def test_several_recipients_do_not_hear_of_one_another() -> None:
    hook = webhook(1)
    assert mail(to(hook)).only_recipient == "hook1@example.org"
    assert mail(to(hook), to(webhook(2))).only_recipient is None
    assert mail(to(hook), to(hook, "HOOK1@example.org")).only_recipient is None
