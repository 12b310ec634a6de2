"""The mails that Conduit sends say what they are for, and are left to be carried."""

import asyncio
import logging
from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from conduit_api.background import Background
from conduit_api.mail_carriers import Directory, RelayUnavailable
from conduit_api.mailer import Carrier, Mail, Mailer, MailRefused

LINK = "https://conduit.example.com/app/reset-password/confirm#token=a-token_1"


class Kept:
    """Keeps mails in memory, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.mails: list[tuple[Mail, EmailMessage]] = []
        self._error = error

    async def carry(self, mail: Mail, message: EmailMessage) -> None:
        if self._error is not None:
            raise self._error
        self.mails.append((mail, message))


async def sent(carrier: Carrier | None, tokens: Sequence[str], *, waiting: int = 10) -> None:
    outbox = Background("outbox", at_once=1, waiting=waiting, pauses=())
    mailer = Mailer(
        carrier,
        outbox,
        sender="Conduit <conduit@example.com>",
        public_url="https://conduit.example.com/",
    )
    for token in tokens:
        mailer.send_password_reset("user@example.com", token)
    task = asyncio.create_task(outbox.run())
    await outbox.finish(5)
    task.cancel()
    await asyncio.wait([task])


async def test_a_reset_mail_has_its_link_and_the_headers_of_an_automatic_mail() -> None:
    carrier = Kept()
    await sent(carrier, ["a-token_1"])
    [(mail, message)] = carrier.mails
    assert mail.link == LINK
    assert message["To"] == "user@example.com"
    assert message["From"] == "Conduit <conduit@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"]
    assert LINK in message.get_content().splitlines()


async def test_a_confirmation_mail_has_its_own_link() -> None:
    carrier = Kept()
    outbox = Background("outbox", at_once=1, waiting=1, pauses=())
    mailer = Mailer(carrier, outbox, sender="c@example.com", public_url="http://127.0.0.1:8080")
    mailer.send_email_confirmation("user@example.com", "token")
    task = asyncio.create_task(outbox.run())
    await outbox.finish(5)
    task.cancel()
    await asyncio.wait([task])
    assert carrier.mails[0][0].link == "http://127.0.0.1:8080/app/confirm-email#token=token"


async def test_a_mail_that_is_handed_over_at_once_says_how_that_went(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mail = Mail("user@example.com", "Hello", "It works.\n", LINK)
    carrier = Kept()
    await at_once(carrier).hand_over(mail)
    assert [each for each, _ in carrier.mails] == [mail]
    with pytest.raises(RelayUnavailable):
        await at_once(Kept(RelayUnavailable("451 later"))).hand_over(mail)
    await at_once(Kept(MailRefused("550 no such user"))).hand_over(mail)
    await at_once(None).hand_over(mail)
    assert caplog.messages == ["mail.refused", "mail.nowhere_to_send"]


def at_once(carrier: Carrier | None) -> Mailer:
    nobody = Background("outbox", at_once=1, waiting=1, pauses=())
    return Mailer(carrier, nobody, sender="c@example.com", public_url="http://127.0.0.1:8080")


async def test_without_a_way_to_send_that_is_told_and_the_token_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await sent(None, ["a-token_1"])
    assert caplog.messages == ["mail.nowhere_to_send"]
    assert "CONDUIT_MAIL_RELAY_URL" in str(caplog.records[0].__dict__)
    assert "a-token_1" not in str(caplog.records[0].__dict__)


async def test_a_refused_mail_is_told(caplog: pytest.LogCaptureFixture) -> None:
    await sent(Kept(MailRefused("550 no such user")), ["t"])
    assert caplog.messages == ["mail.refused"]
    assert caplog.records[0].__dict__["error"] == "550 no such user"


async def test_what_exceeds_the_outbox_is_told_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carrier = Kept()
    await sent(carrier, ["1", "2", "3"], waiting=2)
    assert len(carrier.mails) == 2
    assert caplog.messages.count("mail.not_sent") == 1


async def test_a_directory_keeps_each_mail_in_a_file_of_its_owner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    directory = tmp_path / "mail"
    await sent(Directory(directory), ["a-token_1", "another"])
    files = sorted(directory.iterdir())
    assert len(files) == 2
    assert directory.stat().st_mode & 0o777 == 0o700
    assert files[0].suffix == ".eml"
    assert files[0].stat().st_mode & 0o777 == 0o600
    message = message_from_bytes(files[0].read_bytes(), policy=default)
    assert LINK in message.get_content()
    kept = next(record.__dict__ for record in caplog.records if record.message == "mail.kept")
    assert (kept["path"], kept["link"]) == (str(files[0]), LINK)


async def test_a_directory_that_cannot_be_written_to_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    await sent(Directory(tmp_path / "file"), ["t"])
    assert caplog.messages == ["background.given_up"]
