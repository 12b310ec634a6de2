"""Reading DATA (RFC 5321 §4.5.2): in chunks up to the terminator, within bounds of our own.

No line is ever looked at by itself, so that a mail of empty lines costs what any mail costs. A
mail over a bound is read to its end without being kept, and then refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from conduit.model.verdict import Defer, Reason, Reject
from conduit_smtp_ingest.limits import Budget, Limits

_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."


class Octets(Protocol):
    """Where a mail comes from."""

    async def chunk(self) -> bytes:
        """Return all that has come, at least one octet; raise ConnectionEnded at the end."""

    def put_back(self, octets: bytes) -> None:
        """Have octets of the last chunk read again."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A mail that was read to its end but not kept, and why."""

    reason: Reason

    @property
    def verdict(self) -> Defer | Reject:
        """Want of memory passes; a mail over a bound stays over it."""
        kind = Defer if self.reason is Reason.NO_MEMORY else Reject
        return kind(self.reason)


class DataReader:
    """Collects the octets of one mail."""

    def __init__(self, limits: Limits, budget: Budget) -> None:
        self._limits = limits
        self._budget = budget
        # One block, which goes back to the system as a whole, as many small ones would not.
        self._stuffed = bytearray()
        # The terminator's first CRLF may be the end of the DATA command. The last octets of a
        # chunk wait for the next one: they may be the beginning of the terminator.
        self._tail = b"\r\n"
        self._size = 0
        self._stuffing = 0
        self._border = b""
        self._open_line = 0
        self._taken = 0
        self._reason: Reason | None = None

    async def read(self, client: Octets, progress: Callable[[int], None]) -> bytes | Unread:
        """Return the mail without its dot-stuffing, with CRLF at its end.

        `progress` is called with each chunk, with the octets so far. Raise ConnectionEnded when the
        connection ends before the mail does. What comes after the terminator stays to be read. The
        memory of a mail that is returned stays taken until `release`.
        """
        try:
            while (rest := self._feed(await client.chunk())) is None:
                progress(self._size)
        except BaseException:
            self.release()
            raise
        if rest:
            client.put_back(rest)
        return self._unstuffed() if self._reason is None else Unread(self._reason)

    def _feed(self, chunk: bytes) -> bytes | None:
        """Take a chunk; return what comes after the terminator, or None when it has not come."""
        window = self._tail + chunk
        end = window.find(_END)
        if end < 0:
            self._keep(window[: -len(_END) + 1])
            self._tail = window[-len(_END) + 1 :]
            return None
        self._keep(window[: end + 2])
        return window[end + len(_END) :]

    def _keep(self, octets: bytes) -> None:
        """Add octets to the mail, unless it has broken a bound."""
        self._size += len(octets)
        if self._reason is not None:
            return
        self._count_stuffing(octets)
        self._reason = self._problem_with(octets)
        if self._reason is None:
            self._taken += len(octets)
            self._stuffed += octets
        else:
            self.release()

    def _problem_with(self, octets: bytes) -> Reason | None:
        """Return which bound these octets break, and take memory for them if they break none."""
        if not self._lines_fit(octets):
            return Reason.LINE_TOO_LONG
        # Without the CRLF that was put before it, and as RFC 1870 §5 counts.
        if self._size - 2 - self._stuffing > self._limits.size:
            return Reason.TOO_LARGE
        return None if self._budget.take(len(octets), self._taken) else Reason.NO_MEMORY

    def _count_stuffing(self, octets: bytes) -> None:
        """Count the dots that unstuffing will take away, one at a border of chunks too."""
        self._stuffing += octets.count(_STUFFED)
        self._stuffing += (self._border + octets[:2]).count(_STUFFED)
        self._border = (self._border + octets[-2:])[-2:]

    def _lines_fit(self, octets: bytes) -> bool:
        """Look for line ends no further apart than a line may be long, not for each of them."""
        start, limit = -self._open_line, self._limits.line
        while start + limit < len(octets):
            end = octets.rfind(b"\n", max(start, 0), start + limit)
            if end < 0:
                return False
            start = end + 1
        last = octets.rfind(b"\n")
        self._open_line = len(octets) - last - 1 if last >= 0 else self._open_line + len(octets)
        return True

    def release(self) -> None:
        """Forget the mail and give its memory back."""
        self._budget.give_back(self._taken)
        self._taken = 0
        self._stuffed.clear()

    def _unstuffed(self) -> bytes:
        # The CRLF before the first line makes its dot look like any other.
        mail = self._stuffed.replace(_STUFFED, b"\r\n") if self._stuffing else self._stuffed
        self._stuffed = bytearray()
        return bytes(memoryview(mail)[2:])
