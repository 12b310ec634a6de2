"""Memory for answers that are large: bounded in all, and for each client, with a wait for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conduit_api.errors import ServiceUnavailable


class Room:
    """So many octets, of which one client may have half; more than there are counts as all of them.

    Who finds none waits for it up to `patience` seconds.
    """

    def __init__(self, octets: int, patience: float) -> None:
        self._octets = octets
        self._patience = patience
        self._taken: Counter[str] = Counter()
        self._given_back = asyncio.Event()

    @asynccontextmanager
    async def taken(self, octets: int, client: str) -> AsyncIterator["Place"]:
        """Have this much, or raise ServiceUnavailable when there is none for too long."""
        octets = min(octets, self._octets)
        try:
            async with asyncio.timeout(self._patience):
                while not self._has(octets, client):
                    await self._given_back.wait()
        except TimeoutError:
            raise ServiceUnavailable from None
        place = Place(self, client, octets)
        self._taken[client] += octets
        try:
            yield place
        finally:
            place.keep(0)

    def _has(self, octets: int, client: str) -> bool:
        own = self._taken.get(client, 0)
        if own and own + octets > self._octets // 2:
            return False
        return self._taken.total() + octets <= self._octets

    def give_back(self, octets: int, client: str) -> None:
        """Let others have this much."""
        self._taken[client] -= octets
        if not self._taken[client]:
            del self._taken[client]
        self._given_back.set()
        self._given_back = asyncio.Event()


class Place:
    """What one answer has of the room."""

    def __init__(self, room: Room, client: str, octets: int) -> None:
        self._room = room
        self._client = client
        self._octets = octets

    def keep(self, octets: int) -> None:
        """Give back what is beyond this much."""
        if octets < self._octets:
            self._room.give_back(self._octets - octets, self._client)
            self._octets = octets
