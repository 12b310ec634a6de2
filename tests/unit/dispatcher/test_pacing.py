"""Slots taken in runs, and the last moments before a mail is due."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.webhook import Sealed, Webhook
from conduit_dispatcher.pacing import Pacer, Patience

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

T = TypeVar("T")


def webhook(identifier: str = "wh_1", rate_limit: int = 60) -> Webhook:
    return Webhook(
        id=identifier,
        created_at=NOW,
        updated_at=NOW,
        account_id="acc_1",
        address="a@example.com",
        target_url="https://example.com",
        secret=Sealed("sealed"),
        rate_limit=rate_limit,
    )


class Slots:
    """The slots of one webhook each, in memory; a request waits for `open` to be set."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self._next: dict[str, datetime] = {}

    async def take(
        self, webhook_id: str, now: datetime, interval: timedelta, count: int
    ) -> datetime:
        self.requests.append(count)
        await asyncio.sleep(0)
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("away")
        slot = max(now, self._next.get(webhook_id, now))
        self._next[webhook_id] = slot + count * interval
        return slot

    async def take_by(
        self, webhook_id: str, now: datetime, interval: timedelta, latest: datetime
    ) -> datetime | None:
        slot = max(now, self._next.get(webhook_id, now))
        return await self.take(webhook_id, now, interval, 1) if slot <= latest else None


@pytest.fixture
async def slots() -> Slots:
    return Slots()


async def begun(work: Awaitable[T]) -> "asyncio.Future[T]":
    """Return work that has come to where it waits."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=0.01)
    return task


async def taken(pacer: Pacer, count: int) -> list[datetime]:
    return await asyncio.gather(*(pacer.slot(webhook(), NOW) for _ in range(count)))


async def test_a_webhook_without_a_limit_needs_no_slot(slots: Slots) -> None:
    assert await Pacer(slots).slot(webhook(rate_limit=0), NOW) == NOW
    assert slots.requests == []


async def test_a_single_mail_takes_one_slot(slots: Slots) -> None:
    assert await Pacer(slots).slot(webhook(), NOW) == NOW
    assert slots.requests == [1]


async def test_who_comes_during_a_request_shares_the_next(slots: Slots) -> None:
    assert await taken(Pacer(slots), 5) == [NOW + number * SECOND for number in range(5)]
    assert slots.requests == [1, 4]


async def test_so_do_those_who_come_later(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.open.clear()
    first = await begun(taken(pacer, 2))
    others = await begun(taken(pacer, 3))
    slots.open.set()
    assert await first + await others == [NOW + number * SECOND for number in range(5)]
    assert slots.requests == [1, 4]


async def test_webhooks_do_not_wait_for_each_other(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.open.clear()
    both = await begun(
        asyncio.gather(pacer.slot(webhook("wh_1"), NOW), pacer.slot(webhook("wh_2"), NOW))
    )
    assert slots.requests == [1, 1]
    slots.open.set()
    assert [*await both] == [NOW, NOW]


async def test_a_store_that_is_away_is_told_to_all_and_asked_again(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.away = True
    told = await asyncio.gather(
        *(pacer.slot(webhook(), NOW) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in told] == [StoreUnavailable] * 3
    slots.away = False
    assert await taken(pacer, 2) == [NOW, NOW + SECOND]


async def test_one_who_gives_up_leaves_the_others_their_slots(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.open.clear()
    first, leader, follower, other = [await begun(pacer.slot(webhook(), NOW)) for _ in range(4)]
    follower.cancel()
    await asyncio.wait([follower])
    slots.open.set()
    assert [await first, await leader] == [NOW, NOW + SECOND]
    assert await other == NOW + 3 * SECOND


async def test_who_is_stopped_during_the_request_fails_those_who_share_it(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.open.clear()
    first, leader, follower = [await begun(pacer.slot(webhook(), NOW)) for _ in range(3)]
    first.cancel()
    await asyncio.wait([first, leader], return_when=asyncio.FIRST_COMPLETED)
    leader.cancel()
    with pytest.raises(StoreUnavailable):
        await follower
    slots.open.set()
    assert await pacer.slot(webhook(), NOW) == NOW


async def test_who_is_stopped_before_the_request_is_forgotten(slots: Slots) -> None:
    pacer = Pacer(slots)
    slots.open.clear()
    first, leader, follower = [await begun(pacer.slot(webhook(), NOW)) for _ in range(3)]
    leader.cancel()
    with pytest.raises(StoreUnavailable):
        await follower
    slots.open.set()
    assert await first == NOW
    assert await pacer.slot(webhook(), NOW) == NOW + SECOND


async def test_a_mail_whose_sender_waits_takes_a_slot_that_is_near(slots: Slots) -> None:
    pacer = Pacer(slots)
    assert await pacer.slot(webhook(), NOW) == NOW
    assert await pacer.slot_by(webhook(), NOW, NOW) is None
    assert await pacer.slot_by(webhook(), NOW, NOW + SECOND) == NOW + SECOND
    assert await pacer.slot_by(webhook(rate_limit=0), NOW, NOW) == NOW


async def test_the_last_moments_are_waited_for() -> None:
    loop = asyncio.get_running_loop()
    since = loop.time()
    assert await Patience(most=1).wait(0.02)
    assert loop.time() - since >= 0.02


async def test_what_takes_longer_does_not_wait_here() -> None:
    assert not await Patience(most=1).wait(1.01)


async def test_only_so_many_wait() -> None:
    patience = Patience(most=2)
    waiting = [await begun(patience.wait(1)) for _ in range(2)]
    assert not await patience.wait(0.01)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert await patience.wait(0.01)
    waiting[1].cancel()
    await asyncio.wait(waiting)
