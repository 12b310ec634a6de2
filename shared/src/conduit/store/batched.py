"""Look-ups of single keys that begin at the same time, made as one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 100
"""Keys of one look-up. The embedded store's time grows with the square of their number."""


def pieces(keys: Collection[K]) -> Iterator[list[K]]:
    """Yield keys, as many at a time as one look-up should have."""
    ordered = list(keys)
    for start in range(0, len(ordered), MOST):
        yield ordered[start : start + MOST]


class Batched(Generic[K, V]):
    """Looks up keys one at a time by a look-up of several, which many share.

    Whatever is asked for in one turn of the event loop, by whomever, is one question to the store.
    """

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look_up = look_up
        self._keys: list[K] = []
        self._answers: asyncio.Future[Mapping[K, V]] | None = None

    async def get(self, key: K) -> V | None:
        """Return what there is for a key."""
        if self._answers is None or len(self._keys) >= MOST:
            self._keys = []
            self._answers = asyncio.ensure_future(self._ask(self._keys))
        self._keys.append(key)
        return (await asyncio.shield(self._answers)).get(key)

    async def _ask(self, keys: list[K]) -> Mapping[K, V]:
        if keys is self._keys:  # none are added from now on
            self._answers = None
        return await self._look_up(keys)
