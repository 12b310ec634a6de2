"""All sessions of this process: how many there may be, and how they end when the service does."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from prometheus_client import Gauge

T = TypeVar("T")

OPEN = Gauge("conduit_ingest_sessions", "Open SMTP sessions.", multiprocess_mode="livesum")


class Retires(Protocol):
    """A session that can be asked to end."""

    def retire(self) -> None:
        """End as soon as no mail is under way."""


class Sessions:
    """Counts the open sessions, and keeps what must be finished although its client has left."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Retires] = set()
        self._finishing: set[asyncio.Future[Any]] = set()
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

    def finishing(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run `work` to its end, whatever becomes of who awaits it."""
        future = asyncio.ensure_future(work)
        self._finishing.add(future)
        future.add_done_callback(self._finishing.discard)
        return future

    async def retire(self) -> None:
        """Ask all to end, and wait until they have."""
        for session in list(self._open):
            session.retire()
        await self._none_open.wait()
        if self._finishing:
            await asyncio.wait(self._finishing)
