"""Reading DATA (RFC 5321 §4.5.2): in chunks up to the terminator, within bounds of our own.

No line is ever looked at by itself, so that a mail of empty lines costs what any mail costs. A
mail over a bound is read to its end without being kept, and then refused.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from conduit.model.verdict import Defer, Reason, Reject
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.streams import unread

_END = b"\r\n.\r\n"
_STUFFED = b"\r\n."
_CHUNK = 64 * 1024


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
        self._size = 0
        self._stuffing = 0
        self._border = b""
        self._open_line = 0
        self._taken = 0
        self._reason: Reason | None = None

    async def read(
        self, reader: asyncio.StreamReader, progress: Callable[[], None]
    ) -> bytes | Unread:
        """Return the mail without its dot-stuffing, with CRLF at its end.

        `progress` is called with each chunk. Raise IncompleteReadError when the connection ends
        before the mail does. What comes after the terminator stays in `reader`. The memory of a
        mail that is returned stays taken until `release`.
        """
        try:
            return await self._read(reader, progress)
        except BaseException:
            self.release()
            raise

    async def _read(
        self, reader: asyncio.StreamReader, progress: Callable[[], None]
    ) -> bytes | Unread:
        tail = b"\r\n"  # the terminator's first CRLF may be the end of the DATA command
        while (end := (window := tail + await self._chunk(reader)).find(_END)) < 0:
            progress()
            # The last octets may be the beginning of the terminator: they wait for the next chunk.
            self._keep(window[: -len(_END) + 1])
            tail = window[-len(_END) + 1 :]
        self._keep(window[: end + 2])
        unread(reader, window[end + len(_END) :])
        return self._unstuffed() if self._reason is None else Unread(self._reason)

    async def _chunk(self, reader: asyncio.StreamReader) -> bytes:
        chunk = await reader.read(min(_CHUNK, self._limits.line))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", None)
        return chunk

    def _keep(self, octets: bytes) -> None:
        """Add octets to the mail, unless it has broken a bound."""
        self._size += len(octets)
        self._count_stuffing(octets)
        self._measure_line(octets)
        # Without the CRLF that was put before it, and as RFC 1870 §5 counts.
        if self._size - 2 - self._stuffing > self._limits.size:
            self._refuse(Reason.TOO_LARGE)
        elif self._reason is None and not self._budget.take(len(octets)):
            self._refuse(Reason.NO_MEMORY)
        elif self._reason is None:
            self._taken += len(octets)
            self._stuffed += octets

    def _count_stuffing(self, octets: bytes) -> None:
        """Count the dots that unstuffing will take away, one at a border of chunks too."""
        self._stuffing += octets.count(_STUFFED)
        self._stuffing += (self._border + octets[:2]).count(_STUFFED)
        self._border = (self._border + octets[-2:])[-2:]

    def _measure_line(self, octets: bytes) -> None:
        """Only a line over a chunk's border can be too long: a chunk is no longer than a line."""
        first = octets.find(b"\n")
        if self._open_line + (first + 1 or len(octets)) > self._limits.line:
            self._refuse(Reason.LINE_TOO_LONG)
        self._open_line = (
            self._open_line + len(octets) if first < 0 else len(octets) - octets.rfind(b"\n") - 1
        )

    def _refuse(self, reason: Reason) -> None:
        self._reason = self._reason or reason
        self.release()

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
