"""The turnstile of the bulk lane: how its mail goes ahead without others noticing.

Mail in a hurry takes some turns of the event loop from the queue to its call, and in each turn it
waits for all else that is ready. So of the bulk lane one mail begins in a turn. That slows down
none of it: where nothing else is to do, turns are short.

A mail that is put off costs a record and a publish, and nobody is glad of it. Thousands at once
fill the store and RabbitMQ, for whose answers mail in a hurry then waits; and what is published
within a second comes back within a second. So, while there is such mail, it is done for some at a
time, which share their writes, and their places rest for longer than that took: most of the time
is for the others.
"""

import asyncio
from collections import deque
from math import inf

_FEW = 16
"""Mails that are put off at a time while there is mail in a hurry: fewer cost more each."""

_MANY = 64
"""The same while there is none: as many as are worth one write."""

_LATELY = 1.0
"""Seconds for which it is reckoned with more of it."""

_REST = 3.0
"""Times as long as it took to put a mail off, for which its place rests then."""

_LONGEST_REST = 1.0  # seconds


class Turnstile:
    """Says when each mail of the bulk lane may begin, and be put off."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._entering: deque[asyncio.Future[None]] = deque()
        self._giving_way: deque[asyncio.Future[None]] = deque()
        self._aside = 0
        self._turns = False
        self._hurry = -inf

    def hurry(self) -> None:
        """Learn that a mail of another lane has come."""
        self._hurry = self._loop.time()

    async def enter(self) -> "Passage":
        """Return when one more mail may begin."""
        await self._turn_of(self._entering)
        return Passage(self)

    async def give_way(self) -> float:
        """Return when one more mail may be put off, and that moment of the loop's time."""
        await self._turn_of(self._giving_way)
        return self._loop.time()

    def put_off(self, seconds: float) -> None:
        """Learn that a mail has been put off, and how long that took."""
        if self._hurried():
            self._loop.call_later(min(seconds * _REST, _LONGEST_REST), self._rested)
        else:
            self._rested()

    def _rested(self) -> None:
        self._aside -= 1
        self._soon()

    async def _turn_of(self, line: deque[asyncio.Future[None]]) -> None:
        turn = self._loop.create_future()
        line.append(turn)
        self._soon()
        await turn

    def _soon(self) -> None:
        """See to it that there is a next turn, if anybody can go ahead in it."""
        if not self._turns and (self._entering or self._can_give_way()):
            self._turns = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turns = False
        _first(self._entering)
        if self._can_give_way() and _first(self._giving_way):
            self._aside += 1
        self._soon()

    def _can_give_way(self) -> bool:
        if not self._giving_way:
            return False
        return self._aside < (_FEW if self._hurried() else _MANY)

    def _hurried(self) -> bool:
        return self._loop.time() - self._hurry < _LATELY


class Passage:
    """One mail's way through."""

    __slots__ = ("_since", "_turnstile")

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self._since: float | None = None

    async def give_way(self) -> None:
        """Return when the mail may be put off."""
        if self._since is None:
            self._since = await self._turnstile.give_way()

    def leave(self) -> None:
        """Let others be put off, if this one was."""
        since, self._since = self._since, None
        if since is not None:
            self._turnstile.put_off(asyncio.get_running_loop().time() - since)


def _first(line: deque[asyncio.Future[None]]) -> bool:
    """Let the first one go ahead; return whether there was one."""
    while line:
        first = line.popleft()
        if not first.done():
            first.set_result(None)
            return True
    return False
