"""Notes of webhooks with held mail on every server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conduit.store.connection import Store
from conduit.store.holdings import SETTLED, Holding, Holdings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def holdings(store: Store) -> Holdings:
    """The notes."""
    return Holdings(store)


async def test_a_note_is_there_once_and_says_when_the_latest_was(holdings: Holdings) -> None:
    for seconds in (0, 2, 1):
        await holdings.note("wh_1", NOON + seconds * SECOND)
    assert await holdings.free(NOON, 10) == [Holding("wh_1", NOON + 2 * SECOND, NOON)]


async def test_what_somebody_sees_to_is_not_free_until_the_lease_ends(holdings: Holdings) -> None:
    await holdings.note("wh_1", NOON)
    [free] = await holdings.free(NOON, 10)
    leases = await asyncio.gather(*(holdings.lease(free, NOON + 9 * SECOND) for _ in range(4)))
    [lease] = [each for each in leases if each is not None]
    await holdings.note("wh_1", NOON + SECOND)
    assert await holdings.free(NOON + 8 * SECOND, 10) == []
    assert await holdings.free(NOON + 9 * SECOND, 10) == [
        lease._replace(noted_at=NOON + SECOND),
    ]


async def test_a_lease_can_be_extended_and_ended_by_who_has_it(holdings: Holdings) -> None:
    await holdings.note("wh_1", NOON)
    [free] = await holdings.free(NOON, 10)
    lease = await holdings.lease(free, NOON + SECOND)
    assert lease is not None
    longer = await holdings.lease(lease, NOON + 9 * SECOND)
    assert longer is not None
    assert await holdings.lease(lease, NOON + 5 * SECOND) is None
    assert await holdings.lease(longer, NOON) == free


async def test_those_seen_to_the_longest_ago_come_first(holdings: Holdings) -> None:
    for number in (2, 1, 3):
        await holdings.note(f"wh_{number}", NOON + number * SECOND)
    found = await holdings.free(NOON + 9 * SECOND, 2)
    assert [each.webhook_id for each in found] == ["wh_1", "wh_2"]


async def test_a_note_goes_only_when_no_mail_can_have_come(holdings: Holdings) -> None:
    await holdings.note("wh_1", NOON)
    [seen] = await holdings.free(NOON, 10)
    await holdings.settle(seen, NOON + SETTLED - SECOND)
    assert await holdings.free(NOON, 10) == [seen]
    await holdings.note("wh_1", NOON + SETTLED)
    await holdings.settle(seen, NOON + SETTLED)
    [noted] = await holdings.free(NOON, 10)
    await holdings.settle(noted, NOON + 2 * SETTLED)
    assert await holdings.free(NOON, 10) == []


async def test_those_of_deleted_webhooks_are_forgotten(holdings: Holdings) -> None:
    for number in (1, 2, 3):
        await holdings.note(f"wh_{number}", NOON)
    await holdings.forget(["wh_1", "wh_3"])
    assert [each.webhook_id for each in await holdings.free(NOON, 10)] == ["wh_2"]
