"""The mails that Conduit itself sends: written here, carried by a relay or into files."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from functools import partial
from typing import Protocol
from urllib.parse import quote

from conduit.errors import ConduitError
from conduit_api.background import Background, Overloaded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail whose point is a link."""

    to: str
    subject: str
    text: str
    link: str


class MailRefused(ConduitError):
    """The relay will not take this mail, now or later."""


class Carrier(Protocol):
    """Brings mails on their way."""

    async def carry(self, mail: Mail, message: EmailMessage) -> None:
        """Hand a mail over. Raise Unavailable when later may be better, or MailRefused."""


class Mailer:
    """Writes mails and leaves them to be sent: a relay that is slow or away holds nobody up."""

    def __init__(
        self, carrier: Carrier | None, outbox: Background, *, sender: str, public_url: str
    ) -> None:
        self._carrier = carrier
        self._outbox = outbox
        self._sender = sender
        self._public_url = public_url.rstrip("/")

    def send_password_reset(self, to: str, token: str) -> None:
        """Send the link that leads to a new password."""
        self._send(to, token, _password_reset)

    def send_email_confirmation(self, to: str, token: str) -> None:
        """Send the link that confirms an e-mail address."""
        self._send(to, token, _email_confirmation)

    async def hand_over(self, mail: Mail) -> None:
        """Bring a mail on its way now, or raise Unavailable when later may be better.

        One that cannot be sent, now or later, is told in the log, and is done with.
        """
        if self._carrier is None:
            _tell_nowhere(mail)
        else:
            await _carried(self._carrier, mail, _message(mail, self._sender))

    def _send(self, to: str, token: str, write: Callable[[str, str, str], Mail]) -> None:
        mail = write(self._public_url, to, quote(token))
        if self._carrier is None:
            _tell_nowhere(mail)
            return
        message = _message(mail, self._sender)
        try:
            self._outbox.leave(partial(_carried, self._carrier, mail, message))
        except Overloaded as error:
            log.error("mail.not_sent", extra={**_about(mail, message), "error": str(error)})


def _tell_nowhere(mail: Mail) -> None:
    log.warning(
        "mail.nowhere_to_send",
        extra={
            "to": mail.to,
            "subject": mail.subject,
            "mend": "set CONDUIT_MAIL_RELAY_URL or CONDUIT_MAIL_DIRECTORY",
        },
    )


async def _carried(carrier: Carrier, mail: Mail, message: EmailMessage) -> None:
    try:
        await carrier.carry(mail, message)
    except MailRefused as error:
        log.error("mail.refused", extra={**_about(mail, message), "error": str(error)})
    else:
        log.info("mail.handed_over", extra=_about(mail, message))


def _about(mail: Mail, message: EmailMessage) -> dict[str, str]:
    return {"to": mail.to, "subject": mail.subject, "mail_id": str(message["Message-ID"])}


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers, please
    message.set_content(mail.text, cte="8bit")
    return message


def _password_reset(public_url: str, to: str, token: str) -> Mail:
    link = f"{public_url}/app/reset-password/confirm#token={token}"
    return Mail(
        to,
        "Choose a new password for Conduit",
        "Somebody, probably you, has asked for a new password for the Conduit account of\n"
        f"{to}. To choose one, open this link within one hour:\n\n{link}\n\n"
        "The link works once. If it was not you, there is nothing to do: the password stays.\n",
        link,
    )


def _email_confirmation(public_url: str, to: str, token: str) -> Mail:
    link = f"{public_url}/app/confirm-email#token={token}"
    return Mail(
        to,
        "Confirm your e-mail address for Conduit",
        f"Somebody, probably you, has made a Conduit account for {to}.\n"
        f"To confirm the address and begin, open this link within three days:\n\n{link}\n\n"
        "If it was not you, there is nothing to do: without it nobody can use the account.\n",
        link,
    )
