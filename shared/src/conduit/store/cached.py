"""A small cache before a collection: for seconds, so that a change works at once for a person."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cached(Generic[K, V]):
    """Looks a key up at most once in `seconds`; look-ups of one key at a time share one answer.

    At most `size` answers are kept, absent ones too, so that a flood of unknown keys costs the
    store one look-up each and the memory nothing. Those that were not asked for the longest go
    first, so that such a flood does not drive out what is in use.

    With `renew`, what is in use is looked up again in the second half of its time, in advance: so
    nobody waits for that, however slow the store is at the moment.
    """

    def __init__(
        self,
        look_up: Callable[[K], Awaitable[V]],
        *,
        seconds: float,
        size: int,
        renew: bool = False,
    ) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._size = size
        self._early = seconds / 2 if renew else 0
        self._answers: OrderedDict[K, tuple[float, asyncio.Future[V]]] = OrderedDict()
        self._renewals: dict[K, asyncio.Future[V]] = {}

    async def get(self, key: K) -> V:
        """Return the answer, from the cache or looked up; a failed look-up is not kept."""
        answer = self._answer(key)
        return answer.result() if answer.done() else await asyncio.shield(answer)

    def begin(self, key: K) -> None:
        """Look this key up if it is not kept, for a `get` that follows."""
        self._answer(key)

    def forget(self, key: K) -> None:
        """Look this key up again next time."""
        self._answers.pop(key, None)

    def _answer(self, key: K) -> asyncio.Future[V]:
        kept = self._answers.get(key)
        if kept is None:
            return self._load(key)
        if kept[1].done():
            left = kept[0] - time.monotonic()
            if left <= 0:
                return self._load(key)
            if left < self._early and key not in self._renewals:
                self._renew(key, kept)
        self._answers.move_to_end(key)
        return kept[1]

    def _load(self, key: K) -> asyncio.Future[V]:
        answer = asyncio.ensure_future(self._look_up(key))
        self._answers[key] = (time.monotonic() + self._seconds, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
        answer.add_done_callback(lambda done: self._forget_failed(key, done))
        return answer

    def _renew(self, key: K, kept: tuple[float, asyncio.Future[V]]) -> None:
        """Look up what takes the place of an answer. If that fails, it stays for its time."""
        ends = time.monotonic() + self._seconds
        renewal = self._renewals[key] = asyncio.ensure_future(self._look_up(key))

        def take_over(done: asyncio.Future[V]) -> None:
            del self._renewals[key]
            failed = done.cancelled() or done.exception() is not None
            if not failed and self._answers.get(key) is kept:
                self._answers[key] = (ends, done)

        renewal.add_done_callback(take_over)

    def _forget_failed(self, key: K, answer: asyncio.Future[V]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        kept = self._answers.get(key)
        if failed and kept is not None and kept[1] is answer:
            self.forget(key)
