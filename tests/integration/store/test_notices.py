"""Notices on every server: one for an occasion, taken by one replica, due again after a crash."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conduit.model.notice import Notice, Occasion, failing_notice, gone_notice, paused_notice
from conduit.store.connection import Store
from conduit.store.notices import Notices
from tests.integration.store.conftest import webhook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = NOON - timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def notices(store: Store) -> Notices:
    """The notices."""
    return Notices(store)


def notice(made_at: datetime = NOON) -> Notice:
    return failing_notice(webhook(), SINCE, "no answer", made_at, NOON + timedelta(days=4))


async def test_a_notice_is_kept_as_it_is(notices: Notices) -> None:
    made = notice()
    await notices.add(made)
    assert await notices.due(NOON, 10) == [made]


async def test_an_occasion_has_one_notice_even_after_that_is_done(notices: Notices) -> None:
    one = webhook()
    made = failing_notice(one, SINCE, "no answer", NOON, None)
    await notices.add(made)
    await notices.add(failing_notice(one, SINCE, "another answer", NOON + MINUTE, None))
    assert await notices.due(NOON + MINUTE, 10) == [made]
    await notices.done([made.id])
    await notices.add(failing_notice(one, SINCE, "another answer", NOON + MINUTE, None))
    assert await notices.due(NOON + MINUTE, 10) == []


async def test_occasions_of_one_webhook_are_told_apart(notices: Notices) -> None:
    one = webhook()
    for made in (
        failing_notice(one, SINCE, None, NOON, None),
        failing_notice(one, SINCE + MINUTE, None, NOON, None),
        paused_notice(one, SINCE, None, NOON),
        gone_notice(one, NOON),
        gone_notice(one, NOON + MINUTE),  # of the same version: the same switching off
        gone_notice(one.model_copy(update={"version": 1}), NOON),
    ):
        await notices.add(made)
    due = [each.occasion for each in await notices.due(NOON + 2 * MINUTE, 10)]
    assert sorted(due) == sorted([Occasion.FAILING] * 2 + [Occasion.PAUSED] + [Occasion.GONE] * 2)


async def test_a_webhook_has_a_moment_to_be_switched_off_before_that_is_told(
    notices: Notices,
) -> None:
    made = gone_notice(webhook(), NOON)
    await notices.add(made)
    assert await notices.due(NOON + MINUTE / 2, 10) == []
    assert await notices.due(NOON + MINUTE, 10) == [made]


async def test_those_due_first_come_first_and_so_many_as_are_asked_for(notices: Notices) -> None:
    made = [notice(NOON + number * MINUTE) for number in range(4)]
    for each in reversed(made):
        await notices.add(each)
    assert await notices.due(NOON + 2 * MINUTE, 10) == made[:3]
    assert await notices.due(NOON + 2 * MINUTE, 2) == made[:2]


async def test_what_is_taken_is_due_again_only_after_its_time(notices: Notices) -> None:
    made = notice()
    await notices.add(made)
    assert await notices.take(made.id, NOON, NOON + 5 * MINUTE)
    assert not await notices.take(made.id, NOON + MINUTE, NOON + 6 * MINUTE)
    assert await notices.due(NOON + MINUTE, 10) == []
    assert await notices.due(NOON + 5 * MINUTE, 10) == [made]
    assert await notices.take(made.id, NOON + 5 * MINUTE, NOON + 10 * MINUTE)


async def test_of_replicas_that_take_at_once_one_gets_it(store: Store, notices: Notices) -> None:
    made = notice()
    await notices.add(made)
    replicas = [Notices(store) for _ in range(8)]
    taken = await asyncio.gather(
        *(replica.take(made.id, NOON, NOON + MINUTE) for replica in replicas)
    )
    assert sorted(taken) == [False] * 7 + [True]


async def test_what_is_done_is_never_taken_again(notices: Notices) -> None:
    made, other = notice(), notice()
    await notices.add(made)
    await notices.add(other)
    await notices.done([made.id])
    later = NOON + timedelta(days=20)
    assert not await notices.take(made.id, later, later + MINUTE)
    assert await notices.due(later, 10) == [other]


async def test_notices_about_webhooks_are_forgotten(notices: Notices) -> None:
    made, other = notice(), notice()
    await notices.add(made)
    await notices.add(other)
    await notices.forget([made.webhook_id])
    assert await notices.due(NOON, 10) == [other]
