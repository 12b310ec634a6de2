"""Work that a request leaves behind, so that its answer's time tells nothing about it.

A request for a new password is answered at once, whoever asks; the account is looked for, and a
mail is sent, afterwards. What waits is bounded, and is kept in this process only: a crash loses
it, and whoever waits for a mail asks again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from conduit.errors import Unavailable

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Overloaded(Unavailable):
    """Too much waits already."""


class Background:
    """Does work in order of its arrival, some pieces at a time.

    Work that raises Unavailable is done again after each of `pauses` (seconds), and then given up.
    """

    def __init__(self, name: str, *, at_once: int, waiting: int, pauses: Sequence[float]) -> None:
        self._name = name
        self._at_once = at_once
        self._pauses = tuple(pauses)
        self._queue: asyncio.Queue[Work] = asyncio.Queue(waiting)
        self._unfinished = 0

    def leave(self, work: Work) -> None:
        """Have work done soon, or raise Overloaded."""
        try:
            self._queue.put_nowait(work)
        except asyncio.QueueFull:
            raise Overloaded(f"too much waits in {self._name}") from None
        self._unfinished += 1

    async def run(self) -> None:
        """Do what is left here, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._work())

    async def finish(self, seconds: float) -> None:
        """Wait for what is left, but no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            log.error(
                "background.unfinished", extra={"work": self._name, "count": self._unfinished}
            )

    async def _work(self) -> NoReturn:
        while True:
            work = await self._queue.get()
            try:
                await self._done(work)
            except Exception:
                log.exception("background.failed", extra={"work": self._name})
            finally:
                self._unfinished -= 1
                self._queue.task_done()

    async def _done(self, work: Work) -> None:
        for pause in self._pauses:
            try:
                return await work()
            except Unavailable as error:
                log.warning(
                    "background.postponed",
                    extra={"work": self._name, "error": str(error), "pause_s": pause},
                )
            await asyncio.sleep(pause)
        try:
            await work()
        except Unavailable as error:
            log.error("background.given_up", extra={"work": self._name, "error": str(error)})
