"""The mails that Conduit sends, as files."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.support.polling import eventually

_TOKEN = re.compile(r"#token=([A-Za-z0-9_-]+)")


def token_in(message: EmailMessage) -> str:
    """Return the token of the link that a mail has."""
    match = _TOKEN.search(message.get_content())
    assert match is not None
    return match[1]


@dataclass(frozen=True)
class Mailbox:
    """A directory of mails, one a file."""

    directory: Path

    def mails(self, email: str) -> list[EmailMessage]:
        """Return the mails to an address, oldest first."""
        files = sorted(self.directory.glob("*.eml"))
        mails = [message_from_bytes(file.read_bytes(), policy=default) for file in files]
        return [mail for mail in mails if mail["To"] == email]

    async def token(self, email: str, count: int = 1) -> str:
        """Return the token in the newest mail to an address, once there are so many."""
        what = f"{count} mails to {email}"
        mails = await eventually(lambda: self._enough(email, count), what=what)
        return token_in(mails[-1])

    def _enough(self, email: str, count: int) -> list[EmailMessage]:
        mails = self.mails(email)
        return mails if len(mails) >= count else []
