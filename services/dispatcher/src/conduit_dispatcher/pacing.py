"""Rate limits: each call of a limited webhook has a slot, given out over all dispatchers."""

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from conduit.errors import StoreUnavailable
from conduit.events import MailAccepted
from conduit.model.webhook import Webhook
from conduit_dispatcher.locks import Locks

_MINUTE = timedelta(minutes=1)

_LONGEST = 1.0
"""Seconds that an event waits in the process; the delay queues take what is longer."""

_MISSED = timedelta(seconds=2)
"""Lateness for a slot that is put up with: calls of so long come too many in any minute, 3 %."""

_TICK = 0.001  # seconds


class Slots(Protocol):
    """Gives out moments at least `interval` apart."""

    async def take(
        self, webhook_id: str, now: datetime, interval: timedelta, count: int
    ) -> datetime:
        """Return `now` or a later moment, the first of `count` that are all the caller's."""

    async def take_by(
        self, webhook_id: str, now: datetime, interval: timedelta, latest: datetime
    ) -> datetime | None:
        """Return the same, or None, and take none, when it would be later than `latest`."""


def has_slot(event: MailAccepted, now: datetime) -> bool:
    """Whether an event has a slot that holds.

    After a standstill all whose slots have passed meanwhile would be called at once: so late, it
    needs another one. It loses a slot once, lest it never be called where everything is late.
    """
    return event.paced and (event.repaced or event.late_by(now) <= _MISSED)


class Patience:
    """Has events wait in this process for the last moments before they are due.

    The shortest delay queue takes a second: mails of one second would all be called at its end.
    Who waits here keeps a place among what is under way, so that only `most` may; the others take
    the delay queue, and are late.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0

    async def wait(self, seconds: float) -> bool:
        """Return True when that time is over; False at once when it is too long for here."""
        if seconds > _LONGEST or self._waiting >= self._most:
            return False
        self._waiting += 1
        try:
            # A loop's timers may have milliseconds only, and nothing is to be called too early.
            await asyncio.sleep(seconds + _TICK)
        finally:
            self._waiting -= 1
        return True


class _Run:
    """Mails of one webhook that take their slots together, in the order in which they came."""

    def __init__(self, webhook: Webhook) -> None:
        self.interval = _MINUTE / webhook.rate_limit
        self.count = 1
        self._first: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()

    async def join(self) -> datetime:
        """Return a slot for one more, once they are given out."""
        place, self.count = self.count, self.count + 1
        return await asyncio.shield(self._first) + place * self.interval

    def give_out(self, first: datetime) -> None:
        """Have all that joined go on."""
        self._first.set_result(first)

    def fail(self, error: Exception) -> None:
        """Have all that joined raise this."""
        self._first.set_exception(error)
        self._first.exception()  # seen, should nobody have joined


class Pacer:
    """Says when the next call of a webhook may be made.

    In this process one request of a webhook is under way at a time, and the mails that come
    meanwhile take their slots together in the next. So a backlog has its slots after a few
    requests, and replicas that do the same at the same time seldom meet.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._locks = Locks()
        self._gathering: dict[str, _Run] = {}

    async def slot(self, webhook: Webhook, now: datetime) -> datetime:
        """Return the moment of the next call: `now` when the webhook has no limit."""
        if webhook.rate_limit == 0:
            return now
        if (gathering := self._gathering.get(webhook.id)) is not None:
            return await gathering.join()
        run = self._gathering[webhook.id] = _Run(webhook)
        try:
            first = await self._taken(webhook, run, now)
        except Exception as error:
            run.fail(error)
            raise
        except asyncio.CancelledError:
            run.fail(StoreUnavailable("the slots were given up"))
            raise
        run.give_out(first)
        return first

    async def _taken(self, webhook: Webhook, run: _Run, now: datetime) -> datetime:
        """Return the first slot of a run, which nobody joins from the request to the store on."""
        lock = self._locks.of(webhook.id)
        try:
            await lock.acquire()
        finally:
            del self._gathering[webhook.id]
        try:
            return await self._slots.take(webhook.id, now, run.interval, run.count)
        finally:
            lock.release()

    async def slot_by(self, webhook: Webhook, now: datetime, latest: datetime) -> datetime | None:
        """Return the same, or None, and take no slot, when it would be later than `latest`."""
        if webhook.rate_limit == 0:
            return now
        async with self._locks.of(webhook.id):
            return await self._slots.take_by(webhook.id, now, _MINUTE / webhook.rate_limit, latest)
