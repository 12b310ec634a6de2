"""An SMTP relay as a provider runs it: STARTTLS first, then a password, then mail."""

import ssl
from collections import deque
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from conduit.security.certificates import ensure_self_signed
from conduit_local.ports import Ports
from tests.support.polling import PATIENCE, eventually

USERNAME, PASSWORD = "conduit@example.com", "p@ss/word"


class Relay:
    """Keeps the mails that it takes. `refusals` are answered before it takes any."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "relay.pem"
        key = directory / "relay.key"
        ensure_self_signed(self.certificate, key, "localhost")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate, key)
        self.refusals: deque[str] = deque()
        self.port = Ports.free().smtp
        self._mails: list[EmailMessage] = []
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self._tls,
            require_starttls=True,
            authenticator=_authenticated,
            auth_required=True,
        )
        self._controller.start()

    def stop(self) -> None:
        """Be away, until `start`."""
        assert self._controller is not None
        self._controller.stop()

    async def mails(
        self, email: str, count: int = 1, within: float = PATIENCE
    ) -> list[EmailMessage]:
        """Return the mails to an address, once there are so many."""

        def found() -> list[EmailMessage]:
            mails = [mail for mail in list(self._mails) if mail["To"] == email]
            return mails if len(mails) >= count else []

        return await eventually(found, within=within, what=f"{count} mails to {email}")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        if self.refusals:
            return self.refusals.popleft()
        assert isinstance(envelope.content, bytes)
        self._mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


def _authenticated(
    _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=right)
