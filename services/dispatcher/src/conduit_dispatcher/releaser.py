"""Held mail goes on: when its webhook is resumed, to the bulk lane; after too long, it has failed.

Each dispatcher looks every few seconds, and costs little when there is nothing. What is released is
published first and let go then, so a crash in between makes a duplicate with the same id. A webhook
is seen to by one dispatcher at a time. Mail that was held by a webhook's state of some seconds ago
is found by the next look.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn, Protocol

from prometheus_client import Counter

from conduit.bus.topology import DELIVERIES_BULK
from conduit.errors import BrokerUnavailable, Unavailable
from conduit.events import MailAccepted, Packet, encode
from conduit.model.delivery import Attempt, Delivery, DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.store.holdings import Holding
from conduit_dispatcher.recorder import Recorder

log = logging.getLogger(__name__)

HELD = Counter("conduit_dispatcher_held_mail", "Held mails that went on, by what became.", ["end"])

_PAUSE = 2.0  # seconds between two looks when there was nothing to do
_PACE = 0.25
"""Seconds between two batches, which are as much as the store can be asked for beside its work."""

_BATCH = 50
_HOLDINGS = 10_000  # in one look
_LEASE = timedelta(seconds=20)
"""Longer than a batch takes, and as long as it waits when its dispatcher is killed."""

_EXPIRY = 60.0  # seconds between two looks for what waits for too long

_TOO_LONG = "the webhook was paused for longer than mail is held"


class Webhooks(Protocol):
    """What the releaser needs of the collection of webhooks."""

    async def of_id(self, webhook_id: str) -> Webhook | None:
        """Return a webhook."""

    async def paused(self, webhook_ids: Collection[str]) -> set[str]:
        """Return which of these webhooks are paused."""


class Deliveries(Protocol):
    """What the releaser needs of the deliveries."""

    async def held(
        self, webhook_id: str, limit: int, before: datetime | None = None
    ) -> list[Delivery]:
        """Return deliveries that wait in the store, those held the longest first."""

    async def let_go(self, held: Sequence[Delivery], now: datetime) -> None:
        """Write that they do not any more, unless they went on meanwhile."""


class Holdings(Protocol):
    """What the releaser needs of the notes of webhooks with held mail."""

    async def free(self, now: datetime, limit: int) -> list[Holding]:
        """Return those that nobody sees to."""

    async def lease(self, holding: Holding, until: datetime) -> Holding | None:
        """See to one until a moment; None: somebody else does."""

    async def settle(self, holding: Holding, now: datetime) -> None:
        """Remove one of which no mail was found, if none can have come meanwhile."""


class Publishes(Protocol):
    """What the releaser needs of the bus."""

    async def publish(self, packet: Packet, queue: str) -> None:
        """Return when the packet is durable; raise BrokerUnavailable when that is in doubt."""


@dataclass(frozen=True, slots=True)
class Releaser:
    """Sees to held mail. After `longest_wait` it is given up."""

    holdings: Holdings
    deliveries: Deliveries
    webhooks: Webhooks
    publisher: Publishes
    recorder: Recorder
    longest_wait: timedelta

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        next_expiry = time.monotonic()
        while True:
            more = False
            try:
                expire = time.monotonic() >= next_expiry
                more = await self.round(expire=expire)
                if expire and not more:
                    next_expiry = time.monotonic() + _EXPIRY
            except Unavailable as error:
                log.warning("releaser.postponed", extra={"error": str(error)})
            await asyncio.sleep(_PACE if more else _PAUSE)

    async def round(self, *, expire: bool) -> bool:
        """Release a batch of each webhook that is not paused; return whether there may be more.

        With `expire`, give up what waits for too long of those that are.
        """
        free = await self.holdings.free(utc_now(), _HOLDINGS)
        paused = await self.webhooks.paused([each.webhook_id for each in free]) if free else set()
        more = False
        for holding in free:
            if holding.webhook_id not in paused:
                more |= await self._alone(holding, self._release)
            elif expire and await self._overdue(holding):
                more |= await self._alone(holding, self._give_up)
        return more

    async def _alone(self, holding: Holding, work: Callable[[Holding], Awaitable[bool]]) -> bool:
        """Do work that no other dispatcher does meanwhile; False if one does."""
        lease = await self.holdings.lease(holding, utc_now() + _LEASE)
        if lease is None:
            return False
        try:
            return await work(lease)
        finally:
            await self.holdings.lease(lease, utc_now())

    async def _release(self, lease: Holding) -> bool:
        """Release a batch; return whether there may be more."""
        held = await self.deliveries.held(lease.webhook_id, _BATCH)
        if not held:
            await self.holdings.settle(lease, utc_now())
        elif await self.webhooks.of_id(lease.webhook_id) is None:
            # Its mail expires by itself: other webhooks may have got the same.
            await self.deliveries.let_go(held, utc_now())
            _tell("dropped", held)
        else:
            await self._publish(held)
        return len(held) == _BATCH

    async def _publish(self, held: Sequence[Delivery]) -> None:
        sure = await asyncio.gather(*(self._published(delivery) for delivery in held))
        released = [delivery for delivery, confirmed in zip(held, sure, strict=True) if confirmed]
        await self.deliveries.let_go(released, utc_now())
        _tell("released", released)
        if len(released) < len(held):
            raise BrokerUnavailable(f"{len(held) - len(released)} held mails were not confirmed")

    async def _published(self, delivery: Delivery) -> bool:
        try:
            await self.publisher.publish(encode(MailAccepted.of(delivery)), DELIVERIES_BULK)
        except BrokerUnavailable:
            return False
        return True

    async def _overdue(self, holding: Holding) -> list[Delivery]:
        limit = utc_now() - self.longest_wait
        return await self.deliveries.held(holding.webhook_id, _BATCH, limit)

    async def _give_up(self, lease: Holding) -> bool:
        """Give mail up, on record. It can be replayed as long as it is kept."""
        held = await self._overdue(lease)
        await asyncio.gather(*(self._failed(delivery) for delivery in held))
        _tell("failed", held)
        return len(held) == _BATCH

    async def _failed(self, delivery: Delivery) -> None:
        now, number = utc_now(), delivery.attempts + 1
        attempt = Attempt(
            id=new_id(Prefix.LOG),
            delivery_id=delivery.id,
            webhook_id=delivery.webhook_id,
            number=number,
            smtp_message_id=delivery.smtp_message_id,
            sender=delivery.sender,
            result=Result.PERMANENT,
            http_status=None,
            error=_TOO_LONG,
            duration_ms=0,
            attempted_at=now,
            replay_of=delivery.replay_of,
        )
        failed = delivery._replace(
            state=DeliveryState.FAILED, attempts=number, updated_at=now, held_at=None
        )
        await self.recorder.record(failed, attempt)


def _tell(end: str, held: Sequence[Delivery]) -> None:
    if held:
        HELD.labels(end).inc(len(held))
        extra = {"webhook_id": held[0].webhook_id, "count": len(held)}
        log.info("held_mail.went_on", extra=extra | {"end": end})
