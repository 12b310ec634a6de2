"""The health of endpoints on every server: written by one at a time, found, and forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.endpoint_health import EndpointHealth
from conduit.store.batched import MOST
from conduit.store.connection import Store
from conduit.store.endpoint_health import EndpointHealths

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def healths(store: Store) -> EndpointHealths:
    """The endpoints that fail."""
    return EndpointHealths(store)


def health(webhook_id: str = "wh_1", **changes: Any) -> EndpointHealth:
    fields: dict[str, Any] = {
        "webhook_id": webhook_id,
        "failing_since": NOON,
        "failures": 1,
        "last_error": "the endpoint answered 500",
        "last_failed_at": NOON,
    }
    return EndpointHealth(**fields | changes)


async def test_what_was_written_is_found_as_it_was(healths: EndpointHealths) -> None:
    written = await healths.write(
        health(retry_at=NOON + HOUR, pauses=3, noticed_at=NOON, leased_until=NOON)
    )
    assert written is not None
    assert written.version == 1
    assert await healths.of_id("wh_1") == written
    assert await healths.of_id("wh_2") is None


async def test_several_are_found_at_once(healths: EndpointHealths) -> None:
    for name in ("wh_1", "wh_2", "wh_3"):
        await healths.write(health(name))
    found = await healths.of_ids(["wh_1", "wh_3", "wh_4"])
    assert sorted(found) == ["wh_1", "wh_3"]
    assert await healths.of_ids([]) == {}


async def test_very_many_are_looked_for_in_pieces(healths: EndpointHealths) -> None:
    names = [f"wh_{number}" for number in range(2 * MOST + 1)]
    for name in (names[0], names[MOST], names[-1]):
        await healths.write(health(name))
    assert sorted(await healths.of_ids(names)) == sorted([names[0], names[MOST], names[-1]])


async def test_a_change_counts_on(healths: EndpointHealths) -> None:
    first = await healths.write(health())
    assert first is not None
    second = await healths.write(first.model_copy(update={"failures": 2}))
    assert second is not None
    assert (second.version, second.failures) == (2, 2)
    assert await healths.of_id("wh_1") == second


async def test_of_two_that_write_at_once_one_does(healths: EndpointHealths) -> None:
    new = await asyncio.gather(*(healths.write(health()) for _ in range(4)))
    [seen] = [each for each in new if each is not None]
    changes = (seen.model_copy(update={"failures": number}) for number in range(2, 6))
    written = await asyncio.gather(*(healths.write(change) for change in changes))
    [winner] = [each for each in written if each is not None]
    assert await healths.of_id("wh_1") == winner


async def test_what_was_removed_is_not_written_again(healths: EndpointHealths) -> None:
    seen = await healths.write(health())
    assert seen is not None
    await healths.forget(["wh_1"])
    assert await healths.write(seen.model_copy(update={"failures": 2})) is None
    assert await healths.of_id("wh_1") is None


async def test_one_version_of_two_failings_is_not_taken_for_the_other(
    healths: EndpointHealths,
) -> None:
    seen = await healths.write(health())
    assert seen is not None
    await healths.forget(["wh_1"])
    later = await healths.write(health(failing_since=NOON + HOUR))
    assert await healths.write(seen.model_copy(update={"failures": 2})) is None
    assert await healths.of_id("wh_1") == later


async def test_who_fails_the_longest_comes_first(healths: EndpointHealths) -> None:
    for hours in (3, 1, 2):
        await healths.write(health(f"wh_{hours}", failing_since=NOON - hours * HOUR))
    found = await healths.due(NOON - 2 * HOUR, NOON, 10)
    assert [each.webhook_id for each in found] == ["wh_3", "wh_2"]
    assert len(await healths.due(NOON, NOON, 2)) == 2


async def test_what_is_leased_is_not_due_and_is_before_none_that_is(
    healths: EndpointHealths,
) -> None:
    leases = {"wh_1": NOON + HOUR, "wh_2": NOON + HOUR, "wh_3": NOON, "wh_4": None}
    for name, until in leases.items():
        await healths.write(health(name, failing_since=NOON - HOUR, leased_until=until))
    found = await healths.due(NOON, NOON, 2)
    assert sorted(each.webhook_id for each in found) == ["wh_3", "wh_4"]
    assert len(await healths.due(NOON, NOON + HOUR, 10)) == 4


async def test_those_of_deleted_webhooks_are_forgotten(healths: EndpointHealths) -> None:
    for name in ("wh_1", "wh_2", "wh_3"):
        await healths.write(health(name))
    await healths.forget(["wh_1", "wh_2"])
    assert list(await healths.of_ids(["wh_1", "wh_2", "wh_3"])) == ["wh_3"]


async def test_what_a_newer_version_writes_is_read(healths: EndpointHealths, store: Store) -> None:
    written = await healths.write(health())
    await store.collection("endpoint_health").update_one(
        {"_id": "wh_1"}, {"$set": {"mood": "bad"}, "$unset": {"noticed_at": ""}}
    )
    assert await healths.of_id("wh_1") == written
