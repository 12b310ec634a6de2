"""Room for large answers."""

import asyncio

import pytest

from conduit_api.errors import ServiceUnavailable
from conduit_api.room import Room

LONG = 60.0


async def test_one_client_has_half_of_it() -> None:
    room = Room(100, patience=0.01)
    async with room.taken(30, "a"), room.taken(20, "a"), room.taken(50, "b"):
        for client in ("a", "c"):
            with pytest.raises(ServiceUnavailable):
                async with room.taken(1, client):
                    pytest.fail("there is no room left")


async def test_what_is_larger_than_half_comes_alone() -> None:
    room = Room(100, patience=0.01)
    async with room.taken(1_000, "a"):
        with pytest.raises(ServiceUnavailable):
            async with room.taken(1, "b"):
                pytest.fail("there is no room left")
    async with room.taken(100, "b"):
        pass


async def test_who_waits_gets_what_others_give_back() -> None:
    room, order = Room(100, patience=LONG), list[str]()

    async def later() -> None:
        async with room.taken(80, "b"):
            order.append("b")

    async with room.taken(60, "a") as place:
        waiting = asyncio.create_task(later())
        await asyncio.sleep(0)
        order.append("a")
        place.keep(20)
        await waiting
    assert order == ["a", "b"]


async def test_who_fails_gives_all_of_it_back() -> None:
    room = Room(100, patience=0.01)

    async def fail() -> None:
        async with room.taken(50, "a") as place:
            place.keep(10)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with room.taken(100, "b"):
        pass
