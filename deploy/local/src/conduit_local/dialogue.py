"""An SMTP client that shows what both sides say."""

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import localtime, make_msgid


class Dialogue(smtplib.SMTP):
    """An SMTP client that gives each line to `show`: `C: …` what it says, `S: …` what it hears."""

    def __init__(
        self, host: str, port: int, *, timeout: float, show: Callable[[str], None]
    ) -> None:
        self._show = show
        super().__init__(host, port, local_hostname="sender.example.com", timeout=timeout)

    def send(self, s: str | bytes) -> None:  # type: ignore[override]
        """Show and send."""
        text = s if isinstance(s, str) else s.decode(errors="replace")
        for line in text.splitlines():
            self._show(f"C: {line}")
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Receive and show; all but the last line of a reply have a hyphen (RFC 5321, 4.2.1)."""
        code, message = super().getreply()
        *lines, last = message.decode(errors="replace").split("\n")
        for line in lines:
            self._show(f"S: {code}-{line}")
        self._show(f"S: {code} {last}")
        return code, message


def mail(address: str) -> EmailMessage:
    """Return a small mail to this address, with an umlaut and an attachment."""
    message = EmailMessage()
    message["From"] = "Sender <sender@example.com>"
    message["To"] = address
    message["Subject"] = "Grüße from SMTP"
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain="example.com")
    message.set_content("Hello, webhook!\n")
    message.add_attachment("a,b\n1,2\n", subtype="csv", filename="table.csv")
    return message
