"""What stands on top of a mail that came through here."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conduit.mail.address import parse_address
from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.webhook import Sealed, Webhook
from conduit_smtp_ingest.stamp import stamped
from conduit_smtp_ingest.transaction import Client, Recipient, Transaction

NOW = datetime(2028, 1, 1, 12, tzinfo=UTC)
US = "mx.conduit.example"
MAIL = b"Subject: x\r\n\r\ncontent\r\n"
RESULTS = AuthResults(
    Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com"),
    (),
    Dmarc(DmarcStatus.NONE, "example.com"),
    Arc(ArcStatus.NONE),
)
CLIENT = Client("192.0.2.1", "client.example", extended=True)
USER = replace(CLIENT, tls="TLSv1.3", authenticated_as="ann", satisfied=frozenset({"pol_1"}))


def recipient(number: int, policy: str | None = None) -> Recipient:
    address = f"hook{number}@example.org"
    hook = Webhook(
        id=f"wh_{number}",
        created_at=NOW,
        updated_at=NOW,
        account_id=f"acc_{number}",
        address=address,
        target_url="https://example.com/",
        secret=Sealed("sealed"),
        smtp_security_policy_id=policy,
    )
    return Recipient(parse_address(address), hook)


def stamp(
    raw: bytes = MAIL,
    *recipients: Recipient,
    client: Client = CLIENT,
    results: AuthResults | None = None,
    utf8: bool = False,
) -> str:
    """Return the mail as it is kept, unfolded."""
    transaction = Transaction(
        parse_address("ann@example.com"), utf8, list(recipients or (recipient(1),))
    )
    kept = stamped(
        raw, transaction, client, results, hostname=US, message_id="msg_1", received_at=NOW
    )
    return kept.decode().replace("\r\n\t", " ")


def test_the_mail_is_left_as_it_is_below_a_received_field() -> None:
    assert stamp() == (
        "Received: from client.example ([192.0.2.1]) by mx.conduit.example with ESMTP id msg_1"
        " for <hook1@example.org>; Sat, 01 Jan 2028 12:00:00 +0000\r\n" + MAIL.decode()
    )


@pytest.mark.parametrize(
    ("client", "utf8", "protocol"),
    [
        (replace(CLIENT, extended=False), False, "SMTP"),
        (CLIENT, True, "UTF8SMTP"),
        (replace(CLIENT, tls="TLSv1.2"), False, "ESMTPS (TLSv1.2)"),
        (USER, False, "ESMTPSA (TLSv1.3)"),
        (USER, True, "UTF8SMTPSA (TLSv1.3)"),
    ],
)
def test_the_way_it_came_has_a_word(client: Client, utf8: bool, protocol: str) -> None:
    assert f" by {US} with {protocol} id msg_1 " in stamp(client=client, utf8=utf8)


def test_several_recipients_are_not_named() -> None:
    assert "hook" not in stamp(MAIL, recipient(1), recipient(2))


def test_results_stand_first_and_only_when_there_are_any() -> None:
    assert "Authentication-Results" not in stamp()
    kept = stamp(results=RESULTS)
    assert kept.startswith(f"Authentication-Results: {US}; spf=pass ")
    assert kept.partition("\r\n")[2] == stamp()


@pytest.mark.parametrize("results", [RESULTS, None])
def test_results_that_claim_to_be_ours_go_and_others_stay(results: AuthResults | None) -> None:
    forged = f"Authentication-Results: {US}; dkim=pass header.d=bank.example\r\n".encode()
    theirs = b"Authentication-Results: mx.other.example; spf=pass\r\n"
    kept = stamp(forged + theirs + MAIL, results=results)
    assert "bank.example" not in kept
    assert kept == stamp(theirs + MAIL, results=results)


@pytest.mark.parametrize(
    ("recipients", "told"),
    [
        ([recipient(1, "pol_1")], True),
        ([recipient(1, "pol_1"), recipient(2, "pol_1")], True),
        ([recipient(1, "pol_1"), recipient(2, "pol_2")], False),
        ([recipient(1, "pol_1"), recipient(2)], False),
        ([recipient(1)], False),
    ],
)
def test_the_user_is_named_when_all_who_get_the_mail_may_know(
    recipients: list[Recipient], told: bool
) -> None:
    kept = stamp(MAIL, *recipients, client=USER, results=RESULTS)
    assert ("auth=pass smtp.auth=ann" in kept) == told
