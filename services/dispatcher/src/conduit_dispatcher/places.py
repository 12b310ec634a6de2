"""Places: how many calls of one webhook are under way, and when the turn of the others is.

Each lane of mail has a room, lest the mail that is in no hurry take what the other needs; a webhook
has its places in all rooms together.

What exceeds a webhook's places waits in memory if its turn comes sooner than RabbitMQ's shortest
delay would take, so that a quick endpoint is kept busy. Otherwise it goes to a delay queue, until
its turn by the webhook's own pace: so the mail of a slow endpoint neither holds what the others
need nor goes round and round.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PATIENCE = 1.0
"""Seconds for which a mail waits in memory: RabbitMQ's shortest delay."""

_SHARE = 4
"""One webhook may have this part of what is free, so that slow ones together leave something."""

_FAR = 60.0
"""Seconds to a turn beyond which nothing is foretold: the endpoint may be quicker by then."""

_STUCK_STEP = 0.02
"""Seconds between two turns while no call ends, so that looking for one costs little."""

_UNKNOWN_PACE = 0.1  # seconds a call, before any has ended
_WEIGHT = 0.2  # of the latest call, in the pace
_IDLE = 1_000  # lines without a call that are remembered for their pace


def expected(tail: float, now: float, step: float, chance: float) -> tuple[float, float]:
    """Return the seconds until a mail's turn, and that turn, which is the new end of the line.

    `tail` is the turn of the one before, `step` what each call takes from the line. What would come
    back later than can be foretold is spread by `chance`, from 0 to 1, and lengthens no line.
    """
    turn = max(tail, now + _PATIENCE) + step
    if turn - now <= _FAR:
        return turn - now, turn
    return _FAR * (0.5 + chance), min(tail, now + _FAR)


class _Line:
    """One webhook's calls under way, and those who wait for a place."""

    __slots__ = ("in_flight", "pace", "stuck", "tail", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: deque[_Waiting] = deque()
        self.pace = _UNKNOWN_PACE
        self.stuck = False  # somebody waited in vain, and no call has ended since
        self.tail = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Somebody who waits for a place in a room."""

    places: "Places"
    granted: "asyncio.Future[bool]"


class Place:
    """A place for one call, left once, by leaving the context at the latest."""

    __slots__ = ("_line", "_places", "_started", "_webhook_id")

    def __init__(self, places: "Places", webhook_id: str, line: _Line, started: float) -> None:
        self._places: Places | None = places
        self._webhook_id = webhook_id
        self._line = line
        self._started = started

    def leave(self, *, called: bool = False) -> None:
        """Let the next one in. `called`: the time since the beginning is that of a call."""
        places, self._places = self._places, None
        if places is not None:
            places.left(self._webhook_id, self._line, self._started if called else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


class Places:
    """The places of all webhooks in this process: `cap` each, of `room` in all."""

    def __init__(self, cap: int, room: int, lines: "OrderedDict[str, _Line] | None" = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._cap = cap
        self._room = room
        self._lines: OrderedDict[str, _Line] = OrderedDict() if lines is None else lines
        self._in_flight = 0
        self._waiting = 0

    def beside(self, room: int) -> "Places":
        """Return the places of the same webhooks in a room beside this one."""
        return Places(self._cap, room, self._lines)

    def free(self, webhook_id: str) -> Place | None:
        """Return a place if there is one at this moment, and nobody waits for it."""
        line = self._line(webhook_id)
        if line.waiting or not self.are_left(line):
            return None
        line.in_flight += 1
        self._in_flight += 1
        return Place(self, webhook_id, line, self._loop.time())

    async def take(self, webhook_id: str) -> Place | None:
        """Return a place, after a short wait if need be; None when that would not be short."""
        if (place := self.free(webhook_id)) is not None:
            return place
        line = self._line(webhook_id)
        if self._is_long(line) or not await self._waited(line):
            self._drop_if_idle(webhook_id, line)
            return None
        return Place(self, webhook_id, line, self._loop.time())

    def turn(self, webhook_id: str, chance: float) -> float:
        """Return in how many seconds it is the turn of a mail that found no place."""
        line, now = self._line(webhook_id), self._loop.time()
        step = line.pace / self._allowed()
        if line.stuck:
            step = max(step, _STUCK_STEP)
        wait, line.tail = expected(line.tail, now, step, chance)
        return wait

    def left(self, webhook_id: str, line: _Line, started: float | None) -> None:
        """Take a place back; `started`: when the call in it began."""
        line.in_flight -= 1
        self._in_flight -= 1
        if started is not None:
            took = self._loop.time() - started
            line.pace += (took - line.pace) * _WEIGHT
            line.stuck = False
        if line.waiting:
            _let_in(line)
        self._drop_if_idle(webhook_id, line)

    def _line(self, webhook_id: str) -> _Line:
        line = self._lines.get(webhook_id)
        if line is None:
            line = self._lines[webhook_id] = _Line()
        return line

    def _allowed(self) -> int:
        """How many places a webhook has: fewer when all are scarce, and always one."""
        return min(self._cap, max((self._room - self._in_flight) // _SHARE, 1))

    def _is_long(self, line: _Line) -> bool:
        """Whether the wait of one more would be long, or too many wait already."""
        if line.stuck or self._waiting >= self._room * 3 // 4:
            return True
        return (len(line.waiting) + 1) * line.pace / self._allowed() > _PATIENCE

    async def _waited(self, line: _Line) -> bool:
        """Wait for a place, and return whether there was one; it is taken then."""
        granted: asyncio.Future[bool] = self._loop.create_future()
        waiting = _Waiting(self, granted)
        line.waiting.append(waiting)
        self._waiting += 1
        patience = self._loop.call_later(_PATIENCE, _give_up, granted)
        try:
            if await granted:
                return True
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():
                line.in_flight -= 1
                self._in_flight -= 1
            raise
        finally:
            patience.cancel()
            self._waiting -= 1
            if waiting in line.waiting:
                line.waiting.remove(waiting)
        line.stuck = True
        return False

    def grant(self, line: _Line, granted: "asyncio.Future[bool]") -> None:
        """Give a place to who waits for it, unless nobody does any more."""
        if not granted.done():
            line.in_flight += 1
            self._in_flight += 1
            granted.set_result(True)

    def are_left(self, line: _Line) -> bool:
        """Whether there is a place for one more of a line."""
        return line.in_flight < self._allowed()

    def _drop_if_idle(self, webhook_id: str, line: _Line) -> None:
        """Forget a line without calls, but remember the latest ones for their pace."""
        if line.in_flight or line.waiting or webhook_id not in self._lines:
            return
        self._lines.move_to_end(webhook_id)
        if len(self._lines) <= _IDLE:
            return
        oldest, first = self._lines.popitem(last=False)
        if first.in_flight or first.waiting:
            self._lines[oldest] = first


def _let_in(line: _Line) -> None:
    """Let in who waits the longest, whichever room that is for."""
    while line.waiting and line.waiting[0].places.are_left(line):
        first = line.waiting.popleft()
        first.places.grant(line, first.granted)


def _give_up(granted: "asyncio.Future[bool]") -> None:
    if not granted.done():
        granted.set_result(False)
