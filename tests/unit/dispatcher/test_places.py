"""Places of webhooks: how many, who waits in memory, and when the others' turn is."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.bus.topology import DELAYS, rough_delay
from conduit_dispatcher import places as module
from conduit_dispatcher.places import Place, Places, expected
from tests.support.polling import PATIENCE

ROOM = 200


async def taken(places: Places, webhook_id: str, count: int) -> list[Place]:
    """Take places that are there."""
    found = [await places.take(webhook_id) for _ in range(count)]
    assert None not in found
    return [place for place in found if place]


async def test_a_webhook_has_its_places_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.001)
    places = Places(3, ROOM)
    first, *_ = await taken(places, "wh_1", 3)
    assert await places.take("wh_1") is None
    assert await places.take("wh_2") is not None
    first.leave()
    assert await places.take("wh_1") is not None


async def test_a_place_is_left_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.001)
    places = Places(2, ROOM)
    first, _ = await taken(places, "wh_1", 2)
    first.leave()
    first.leave()
    await taken(places, "wh_1", 1)
    assert await places.take("wh_1") is None


async def test_who_waits_in_memory_comes_in_as_places_are_left_in_order() -> None:
    places = Places(1, ROOM)
    [place] = await taken(places, "wh_1", 1)
    order: list[int] = []

    async def wait(number: int) -> None:
        found = await places.take("wh_1")
        assert found is not None
        order.append(number)
        found.leave()

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == []
    place.leave()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


async def test_who_gives_up_waiting_takes_no_place() -> None:
    places = Places(1, ROOM)
    [place] = await taken(places, "wh_1", 1)
    waiting = asyncio.create_task(places.take("wh_1"))
    await asyncio.sleep(0)
    place.leave()  # the place is granted, and the task ends before it sees that
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await taken(places, "wh_1", 1)


async def test_nobody_waits_in_memory_for_a_slow_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNKNOWN_PACE", 30.0)
    places = Places(20, ROOM)
    await taken(places, "wh_1", 20)
    async with asyncio.timeout(0.5):
        assert await places.take("wh_1") is None


async def test_who_waited_in_vain_has_nobody_wait_until_a_call_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.001)
    monkeypatch.setattr(module, "_UNKNOWN_PACE", 0.0)
    places = Places(1, ROOM)
    [place] = await taken(places, "wh_1", 1)
    assert await places.take("wh_1") is None
    monkeypatch.setattr(module, "_PATIENCE", 1000.0)
    async with asyncio.timeout(PATIENCE):
        assert await places.take("wh_1") is None
    place.leave(called=True)
    [place] = await taken(places, "wh_1", 1)
    waiting = asyncio.create_task(places.take("wh_1"))
    await asyncio.sleep(0)
    assert not waiting.done()
    place.leave(called=True)
    assert await waiting is not None


async def test_slow_webhooks_together_leave_places_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_UNKNOWN_PACE", 1000.0)
    places, busy = Places(20, ROOM), 0
    for number in range(10):
        while await places.take(f"wh_{number}") is not None:
            busy += 1
    assert 120 < busy < 0.9 * ROOM
    await taken(places, "wh_quick", 2)


async def test_a_webhook_always_has_one_place() -> None:
    places = Places(20, 1)
    await taken(places, "wh_1", 1)
    await taken(places, "wh_2", 1)


async def test_a_webhook_has_its_places_in_all_rooms_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.001)
    places = Places(3, ROOM)
    bulk = places.beside(ROOM)
    await taken(bulk, "wh_1", 2)
    [place] = await taken(places, "wh_1", 1)
    assert await places.take("wh_1") is None
    assert await bulk.take("wh_1") is None
    place.leave()
    await taken(bulk, "wh_1", 1)


async def test_a_room_that_is_full_takes_nothing_from_the_one_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_UNKNOWN_PACE", 1000.0)
    places = Places(20, ROOM)
    bulk = places.beside(ROOM)
    for number in range(ROOM):
        while await bulk.take(f"wh_{number}") is not None:
            pass
    assert await bulk.take("wh_another") is not None
    assert await bulk.take("wh_another") is None
    await taken(places, "wh_quick", 20)


async def test_who_waits_in_one_room_comes_in_when_a_place_in_the_other_is_left() -> None:
    places = Places(1, ROOM)
    bulk = places.beside(ROOM)
    [place] = await taken(places, "wh_1", 1)
    waiting = [asyncio.create_task(room.take("wh_1")) for room in (bulk, places)]
    await asyncio.sleep(0)
    place.leave()
    first = await waiting[0]
    assert first is not None
    assert not waiting[1].done()
    first.leave()
    assert await waiting[1] is not None


def test_turns_are_as_far_apart_as_calls_end() -> None:
    wait, tail = expected(0, 100, 0.5, chance=0)
    assert (wait, tail) == (1.5, 101.5)
    wait, tail = expected(tail, 100, 0.5, chance=0)
    assert (wait, tail) == (2.0, 102.0)


def test_a_line_that_has_passed_is_none() -> None:
    assert expected(50, 100, 0.5, chance=0) == (1.5, 101.5)


@pytest.mark.parametrize(("chance", "wait"), [(0, 30), (0.5, 60), (1, 90)])
def test_what_is_too_far_away_is_spread(chance: float, wait: float) -> None:
    assert expected(165, 100, 0.5, chance) == (wait, 160)


def test_ten_thousand_mails_of_a_slow_endpoint_make_few_hops() -> None:
    """Two seconds a call, 20 at a time: 1,000 s until all are delivered."""
    tail, hops = 0.0, 0
    for number in range(10_000):
        wait, tail = expected(tail, number / 3_000, 2 / 20, chance=number % 100 / 100)
        hops += hops_of(wait)
    assert hops / 10_000 <= 3


@given(st.floats(0.001, 900))
def test_a_rough_delay_takes_few_hops_and_is_late_by_half_at_most(wait: float) -> None:
    total, hops = passed(wait)
    assert hops <= 8
    assert wait <= total <= max(wait * 1.5, wait + DELAYS[0])


def passed(wait: float) -> tuple[float, int]:
    total, hops = 0.0, 0
    while total < wait:
        total, hops = total + rough_delay(wait - total), hops + 1
    return total, hops


def hops_of(wait: float) -> int:
    return passed(wait)[1]
