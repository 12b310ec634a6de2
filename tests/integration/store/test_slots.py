"""The slots of rate-limited webhooks on every server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conduit.store.connection import Store
from conduit.store.slots import Slots

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def slots(store: Store) -> Slots:
    """The collection of slots."""
    return Slots(store)


async def test_slots_lie_an_interval_apart(slots: Slots) -> None:
    taken = [await slots.take("wh_1", NOON, SECOND) for _ in range(3)]
    assert taken == [NOON, NOON + SECOND, NOON + 2 * SECOND]


async def test_several_slots_are_taken_at_once(slots: Slots) -> None:
    assert await slots.take("wh_1", NOON, SECOND, 3) == NOON
    assert await slots.take("wh_1", NOON, SECOND, 2) == NOON + 3 * SECOND
    assert await slots.take("wh_1", NOON, SECOND) == NOON + 5 * SECOND


async def test_an_interval_may_have_microseconds(slots: Slots) -> None:
    interval = timedelta(minutes=1) / 9000
    taken = [await slots.take("wh_1", NOON, interval) for _ in range(10)]
    assert taken == [NOON + number * interval for number in range(10)]


async def test_a_slot_of_an_older_version_is_moved_on(slots: Slots, store: Store) -> None:
    await store.collection("slots").insert_one({"_id": "wh_1", "next_at": NOON + SECOND})
    taken = [await slots.take("wh_1", NOON, SECOND) for _ in range(2)]
    assert taken == [NOON + SECOND, NOON + 2 * SECOND]


async def test_unused_slots_are_not_saved_up(slots: Slots) -> None:
    await slots.take("wh_1", NOON, SECOND)
    later = NOON + timedelta(minutes=5)
    assert await slots.take("wh_1", later, SECOND) == later


async def test_a_slot_that_would_be_too_late_is_not_taken(slots: Slots) -> None:
    assert await slots.take_by("wh_1", NOON, SECOND, latest=NOON) == NOON
    assert await slots.take_by("wh_1", NOON, SECOND, latest=NOON + SECOND / 2) is None
    assert await slots.take_by("wh_1", NOON, SECOND, latest=NOON + SECOND) == NOON + SECOND
    assert await slots.take("wh_1", NOON, SECOND) == NOON + 2 * SECOND


async def test_webhooks_have_slots_of_their_own(slots: Slots) -> None:
    assert await slots.take("wh_1", NOON, SECOND) == await slots.take("wh_2", NOON, SECOND) == NOON


async def test_replicas_that_take_at_once_get_different_slots(store: Store) -> None:
    replicas = [Slots(store) for _ in range(4)]
    taken = await asyncio.gather(
        *(replica.take("wh_1", NOON, SECOND, 2) for replica in replicas for _ in range(3))
    )
    assert sorted(taken) == [NOON + number * 2 * SECOND for number in range(12)]
