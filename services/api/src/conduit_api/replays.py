"""Replays: mails that were delivered, or failed to be, go to their webhook once more.

A replay is a delivery of its own, under an id of its own, of the mail that is kept.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK
from conduit.errors import BrokerUnavailable
from conduit.events import MailAccepted, Packet, encode
from conduit.model.delivery import Delivery, DeliveryFilter, DeliveryState
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.deliveries import Deliveries
from conduit.store.messages import Messages

log = logging.getLogger(__name__)

LARGEST = 500
"""Deliveries that one request may replay."""

_AT_ONCE = 50  # publishes that wait for their confirms

Position = tuple[datetime, str]
"""Where to go on: the receipt and the id of the last delivery that was seen to."""


class Publishes(Protocol):
    """What replays need of the bus."""

    async def publish(self, packet: Packet, queue: str) -> None:
        """Return when the packet is durable; raise BrokerUnavailable when that is in doubt."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one request did: replays that are queued, mails that are gone, and if there are more.

    The next request goes on behind `position`, or begins anew when it is None.
    """

    queued: int
    not_kept: int
    more: bool
    position: Position | None


@dataclass(frozen=True, slots=True)
class _Batch:
    replays: Sequence[Delivery]
    not_kept: int
    in_doubt: int


class Replays:
    """Puts kept mails on the queue again."""

    def __init__(self, deliveries: Deliveries, messages: Messages, publisher: Publishes) -> None:
        self._deliveries = deliveries
        self._messages = messages
        self._publisher = publisher

    async def one(self, delivery: Delivery) -> Delivery | None:
        """Queue a replay and return it; None when the mail is not kept any more.

        Raise BrokerUnavailable when it is in doubt whether it is queued.
        """
        batch = await self._batch([delivery], DELIVERIES)
        if batch.in_doubt:
            raise BrokerUnavailable("the replay was not confirmed")
        return batch.replays[0] if batch.replays else None

    async def many(
        self, webhook_id: str, wanted: DeliveryFilter, after: Position | None, limit: int
    ) -> Replayed:
        """Queue replays of deliveries that have none yet, the oldest first, behind new mail.

        Where the broker goes away in between, what it has not confirmed is left for the next
        request; raise BrokerUnavailable when it has confirmed nothing.
        """
        found = await self._deliveries.not_replayed(webhook_id, wanted, after, limit + 1)
        queued = not_kept = 0
        for start in range(0, min(len(found), limit), _AT_ONCE):
            deliveries = found[start : min(start + _AT_ONCE, limit)]
            batch = await self._batch(deliveries, DELIVERIES_BULK)
            queued, not_kept = queued + len(batch.replays), not_kept + batch.not_kept
            if batch.in_doubt:
                if queued == 0:
                    raise BrokerUnavailable("no replay was confirmed")
                return Replayed(queued, not_kept, more=True, position=after)
            after = (deliveries[-1].received_at, deliveries[-1].id)
        return Replayed(queued, not_kept, more=len(found) > limit, position=after)

    async def _batch(self, deliveries: Sequence[Delivery], lane: str) -> _Batch:
        """Queue replays, and write down those that the broker has confirmed.

        They are queued first: a record without its event would be pending for ever, while an event
        without its record gets one from the dispatcher.
        """
        now = utc_now()
        kept = await self._messages.hold({each.message_id for each in deliveries}, now)
        originals = [each for each in deliveries if each.message_id in kept]
        replays = [_replay_of(original, now) for original in originals]
        confirmed = await asyncio.gather(*(self._confirmed(replay, lane) for replay in replays))
        queued = [replay for replay, sure in zip(replays, confirmed, strict=True) if sure]
        if queued:
            await self._deliveries.put(queued)
            sent = [each.id for each, sure in zip(originals, confirmed, strict=True) if sure]
            await self._deliveries.note_replayed(sent, now)
        return _Batch(queued, len(deliveries) - len(originals), len(originals) - len(queued))

    async def _confirmed(self, replay: Delivery, lane: str) -> bool:
        try:
            await self._publisher.publish(encode(MailAccepted.of(replay)), lane)
        except BrokerUnavailable as error:
            log.warning("replay.in_doubt", extra={"delivery_id": replay.id, "error": str(error)})
            return False
        return True


def _replay_of(original: Delivery, now: datetime) -> Delivery:
    return original._replace(
        id=new_id(Prefix.DELIVERY),
        state=DeliveryState.PENDING,
        attempts=0,
        next_attempt_at=None,
        updated_at=now,
        replay_of=original.replay_of or original.id,
        replayed_at=None,
        held_at=None,
    )
