"""How mails leave: through an SMTP relay, or into files for local use."""

import asyncio
import logging
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, urlsplit

import aiosmtplib

from conduit.errors import Unavailable
from conduit_api.mailer import Carrier, Mail, MailRefused
from conduit_api.settings import RELAY_PORTS, MailSettings

log = logging.getLogger(__name__)

_STEP = 15.0  # seconds for each answer of a relay
_WHOLE = 60.0  # seconds for all of them


class RelayUnavailable(Unavailable):
    """The relay is away, or does not take the mail at the moment."""


class Relay:
    """An SMTP relay, named by a URL.

    `smtp://` insists on STARTTLS and `smtps://` begins with TLS, so that no one on the way reads
    links or passwords; `smtp+plain://` does without, for a relay on the same machine.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or RELAY_PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "") if parts.username else None

    async def carry(self, _mail: Mail, message: EmailMessage) -> None:
        """Hand a mail over to the relay."""
        try:
            async with asyncio.timeout(_WHOLE):
                await aiosmtplib.send(
                    message,
                    hostname=self._host,
                    port=self._port,
                    username=self._username,
                    password=self._password,
                    use_tls=self._scheme == "smtps",
                    start_tls=self._scheme == "smtp",
                    timeout=_STEP,
                )
        except (aiosmtplib.SMTPException, OSError) as error:  # TimeoutError is an OSError
            raise _failure(error) from None


def _failure(error: aiosmtplib.SMTPException | OSError) -> Exception:
    """Tell what will stay so from what may pass (RFC 5321 §4.2.1)."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500:
        return MailRefused(told)
    return RelayUnavailable(told)


class Directory:
    """Files of a directory, one a mail; the log tells the link, so that a person can follow it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def carry(self, mail: Mail, message: EmailMessage) -> None:
        """Write a mail into a file of its own."""
        try:
            path = await asyncio.to_thread(self._write, message.as_bytes())
        except OSError as error:
            raise RelayUnavailable(f"{self._path}: {error.strerror}") from error
        log.info("mail.kept", extra={"to": mail.to, "path": str(path), "link": mail.link})

    def _write(self, octets: bytes) -> Path:
        """Put a file in place whole, readable by its owner only."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{token_hex(4)}"
        part, path = self._path / f".{name}", self._path / f"{name}.eml"
        part.touch(mode=0o600)
        part.write_bytes(octets)
        return part.rename(path)


def carrier_of(settings: MailSettings) -> Carrier | None:
    """Return what the settings ask for; a relay comes before a directory."""
    if settings.mail_relay_url is not None:
        return Relay(settings.mail_relay_url)
    if settings.mail_directory is not None:
        return Directory(settings.mail_directory)
    return None
