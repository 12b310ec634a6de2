"""What an endpoint wants the sender of a mail to be told: two headers of its answer.

They count for webhooks whose senders wait for the endpoint. The hundreds digit of the code decides
what became of the mail, whatever the status of the answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from conduit.model.delivery import Result

CODE = "X-Conduit-SMTP-Code"
MESSAGE = "X-Conduit-SMTP-Message"
LONGEST_MESSAGE = 512  # octets

_code = re.compile(r"[245][0-9]{2}")
_breaking = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")

_RESULTS = {2: Result.DELIVERED, 4: Result.TRANSIENT, 5: Result.PERMANENT}


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """An own reply of the endpoint; `message` is printable ASCII. None: it did not say."""

    code: int | None = None
    message: str | None = None

    @property
    def result(self) -> Result | None:
        """What became of the mail by the endpoint's own word."""
        return None if self.code is None else _RESULTS[self.code // 100]

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.code, self.message) if part is not None)


NOTHING_SAID = SmtpReply()


def smtp_reply(headers: Mapping[str, str]) -> SmtpReply:
    """Read both headers. A code that is not three digits of class 2, 4 or 5 is as none."""
    if CODE not in headers and MESSAGE not in headers:
        return NOTHING_SAID
    code = headers.get(CODE, "")
    return SmtpReply(
        code=int(code) if _code.fullmatch(code) else None,
        message=_harmless(headers.get(MESSAGE, "")) or None,
    )


def _harmless(message: str) -> str:
    """Return a message as one line of ASCII: without it, a sender could be told a second reply."""
    line = _breaking.sub(" ", message).encode("ascii", "replace")
    return line.strip()[:LONGEST_MESSAGE].decode().rstrip()
