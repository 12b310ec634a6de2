"""Connections that are there: how many, which are kept for the next call, and who waits for one."""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial

from conduit_dispatcher.connections import Opener
from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.target import Endpoint

LIMIT = 1000
"""Connections at a time, those that are kept among them."""
KEPT_SECONDS = 30.0
"""Seconds for which one is kept without a call; many servers give up after a minute."""

_GOODBYE = 2.0
"""Seconds that the end of all connections may take."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits, what for, and until what comes: such a connection, or room for a new one."""

    endpoint: Endpoint
    turn: asyncio.Future[Connection | None]


class Pool:
    """Lends connections, each for one call at a time.

    The one that was used last goes first, so that as few are kept as are needed. Where there are
    `limit` of them, one that is kept makes room, the longest unused first; where none is, callers
    wait in the order in which they came. What was told to close no longer counts.
    """

    def __init__(
        self, opener: Opener, *, limit: int = LIMIT, kept_seconds: float = KEPT_SECONDS
    ) -> None:
        self._opener = opener
        self._kept_seconds = kept_seconds
        self._loop = asyncio.get_running_loop()
        self._room = limit
        self._all: set[Connection] = set()
        self._kept: dict[Connection, float] = {}
        """And since when, the longest kept first."""
        self._kept_for: dict[Endpoint, dict[Connection, None]] = {}
        self._waiting: deque[_Waiting] = deque()
        self._expiry: asyncio.TimerHandle | None = None

    def kept(self, endpoint: Endpoint) -> Connection | None:
        """Lend a kept connection to an endpoint, if there is one."""
        while endpoint in self._kept_for:
            connection = next(reversed(self._kept_for[endpoint]))
            self._unkeep(connection)
            if connection.is_open():
                return connection
            self._pass_on_room()
        return None

    async def another(self, endpoint: Endpoint) -> Connection:
        """Lend a new connection, or one that was waited for; raise CallFailed if none can be had.

        None of those that are kept: they may all have ended with the one that the caller had.
        """
        handed_over = await self._turn(endpoint)
        if handed_over is not None:
            return handed_over
        try:
            connection = await self._opener.open(
                endpoint, partial(Connection, endpoint, self._gone)
            )
        except BaseException:
            self._pass_on_room()
            raise
        if not connection.gone.done():
            self._all.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back: to be kept, or closed where its call did not end in order."""
        if not connection.is_reusable or not connection.is_open():
            connection.close()
            self._pass_on_room()
        elif (waiting := self._next_waiting()) is None:
            self._keep(connection)
        elif waiting.endpoint == connection.endpoint:
            waiting.turn.set_result(connection)
        else:
            connection.close()
            waiting.turn.set_result(None)

    async def close(self) -> None:
        """Close all connections."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._kept.clear()
        self._kept_for.clear()
        ends = {connection.gone: connection for connection in self._all}
        for connection in ends.values():
            connection.close()
        if not ends:
            return
        _, pending = await asyncio.wait(ends, timeout=_GOODBYE)
        for gone in pending:
            ends[gone].abort()

    async def _turn(self, endpoint: Endpoint) -> Connection | None:
        """Wait until there may be one more connection, or for one to this endpoint."""
        if self._room:
            self._room -= 1
            return None
        if self._kept:
            oldest = next(iter(self._kept))
            self._unkeep(oldest)
            oldest.close()
            return None
        waiting = _Waiting(endpoint, self._loop.create_future())
        self._waiting.append(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            self._give_back(waiting.turn)
            raise

    def _give_back(self, turn: asyncio.Future[Connection | None]) -> None:
        """Pass on what came to a caller who had just left."""
        if turn.cancelled():
            return
        connection = turn.result()
        if connection is None:
            self._pass_on_room()
        else:
            self.release(connection)

    def _pass_on_room(self) -> None:
        """Let the next caller open a connection in place of one that is no more."""
        waiting = self._next_waiting()
        if waiting is None:
            self._room += 1
        else:
            waiting.turn.set_result(None)

    def _next_waiting(self) -> _Waiting | None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                return waiting
        return None

    def _keep(self, connection: Connection) -> None:
        self._kept[connection] = self._loop.time()
        self._kept_for.setdefault(connection.endpoint, {})[connection] = None
        if self._expiry is None:
            self._expiry = self._loop.call_later(self._kept_seconds, self._expire)

    def _unkeep(self, connection: Connection) -> None:
        del self._kept[connection]
        there = self._kept_for[connection.endpoint]
        del there[connection]
        if not there:
            del self._kept_for[connection.endpoint]

    def _expire(self) -> None:
        """Close what has been kept for long, and look again when the next one will have been."""
        self._expiry = None
        old = self._loop.time() - self._kept_seconds
        while self._kept:
            connection, since = next(iter(self._kept.items()))
            if since > old:
                self._expiry = self._loop.call_at(since + self._kept_seconds, self._expire)
                return
            self._unkeep(connection)
            connection.close()
            self._pass_on_room()

    def _gone(self, connection: Connection) -> None:
        """A connection is there no more; who has it lent finds out by himself."""
        self._all.discard(connection)
        if connection in self._kept:
            self._unkeep(connection)
            self._pass_on_room()
