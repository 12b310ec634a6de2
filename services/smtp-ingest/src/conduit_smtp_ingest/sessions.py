"""All sessions of this process: how many there may be, and how they end when the service does."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import Gauge

OPEN = Gauge("conduit_ingest_sessions", "Open SMTP sessions.", multiprocess_mode="livesum")


class Retires(Protocol):
    """A session that can be asked to end."""

    def retire(self) -> None:
        """End as soon as no mail is under way."""


class Sessions:
    """Counts the open sessions. One whose client has left is open until its mail is durable."""

    def __init__(self, limit: int, per_address: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._open: set[Retires] = set()
        self._of_address: Counter[str] = Counter()
        self._none_open = asyncio.Event()
        self._none_open.set()

    @contextmanager
    def entered(self, session: Retires) -> Iterator[bool]:
        """Count a session in; yield whether it may stay."""
        if len(self._open) >= self._limit:
            yield False
            return
        self._open.add(session)
        self._none_open.clear()
        OPEN.inc()
        try:
            yield True
        finally:
            OPEN.dec()
            self._open.discard(session)
            if not self._open:
                self._none_open.set()

    @contextmanager
    def of_address(self, address: str) -> Iterator[bool]:
        """Count a session in for its client's address; yield whether it may stay."""
        if self._of_address[address] >= self._per_address:
            yield False
            return
        self._of_address[address] += 1
        try:
            yield True
        finally:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    async def retire(self) -> None:
        """Ask all to end, and wait until they have."""
        for session in list(self._open):
            session.retire()
        await self._none_open.wait()
