"""Deliveries whose sender waits: one call at once, recorded, and its outcome told.

A request has two times, and no two clocks are compared: how long it may wait in the queue (the
message's expiry, which RabbitMQ counts) and how long the call may take from then on (`within`,
which is counted here). Their sum ends before the sender is told to try again, so no call begins
when nobody waits for it any more. What RabbitMQ gives out again after a crash keeps its expiry.
Beside that the clocks only tell, with much allowance, what a frozen broker or host held up.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from conduit.bus.consumer import Incoming
from conduit.errors import MalformedEvent, Unavailable
from conduit.events import (
    DeliveryAnswered,
    DeliveryAsked,
    DeliveryOutcome,
    Event,
    MailAccepted,
    decode,
)
from conduit.model.delivery import Result
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_dispatcher.answers import Answer, not_called, told
from conduit_dispatcher.breaker import State, state
from conduit_dispatcher.deliver import Deliverer
from conduit_dispatcher.door import Entry
from conduit_dispatcher.overrides import SmtpReply

log = logging.getLogger(__name__)

_PATIENCE = 1.0
"""Seconds for which a mail waits for its slot, so that two at once are not over a high rate."""


_STALE = timedelta(seconds=60)
"""Age of a mail, beyond the time for its call, at which its sender surely has gone. It allows for
clocks that differ, and for what the ingest does before it asks."""

_PAUSED = not_called(
    "not called, since the webhook is paused",
    Result.TRANSIENT,
    SmtpReply(message="Deliveries to this address are paused, try again later"),
)
_FAILING = not_called(
    "not called, since the endpoint fails; it is tried again from time to time",
    Result.TRANSIENT,
    SmtpReply(message="The endpoint of this address fails at present, try again later"),
)


class SyncDeliverer:
    """Answers requests for deliveries. `deliverer` has no retries: the sender makes them.

    Of one webhook's mails `cap` are under way at a time in this process; its slow endpoint must
    not take the others' places.
    """

    def __init__(self, deliverer: Deliverer, cap: int) -> None:
        self._deliverer = deliverer
        self._cap = cap
        self._under_way: Counter[str] = Counter()

    async def answer(self, incoming: Incoming) -> Event:
        """Deliver a mail, or say why that was not tried."""
        loop = asyncio.get_running_loop()
        taken = loop.time()
        asked = decode(incoming.packet)
        if not isinstance(asked, DeliveryAsked):
            raise MalformedEvent(f"not a request for a delivery: {asked.KIND}")
        until = taken + asked.within
        try:
            _check_age(asked)
            answered = await self._answered(asked.mail, until, redelivered=incoming.redelivered)
        except Unavailable as error:
            log.warning("delivery.not_tried", extra=_ids(asked.mail) | {"error": str(error)})
            answered = DeliveryAnswered(asked.mail.delivery_id, DeliveryOutcome.UNAVAILABLE)
        _tell(asked.mail, answered, late=loop.time() - until)
        return answered

    async def _answered(
        self, mail: MailAccepted, until: float, *, redelivered: bool
    ) -> DeliveryAnswered:
        webhook = await self._deliverer.webhook_of(mail.webhook_id)
        if webhook is None:
            return DeliveryAnswered(mail.delivery_id, DeliveryOutcome.PERMANENT)
        if (refused := await self._refused(webhook)) is None:
            with self._place(webhook) as free:
                # Who began on it before took a slot for it.
                if not redelivered and not (free and await self._slot(webhook)):
                    return DeliveryAnswered(mail.delivery_id, DeliveryOutcome.OVER_RATE)
                permit = await self._deliverer.door.endpoints.permit(webhook.id)
                answer, _ = await self._deliverer.attempt(
                    mail,
                    webhook,
                    redelivered=redelivered,
                    entry=Entry(None, permit) if permit else None,
                    until=until,
                    instead=None if permit else _FAILING,
                )
        else:
            answer, _ = await self._deliverer.attempt(
                mail, webhook, redelivered=redelivered, instead=refused
            )
        return told(mail.delivery_id, answer)

    async def _refused(self, webhook: Webhook) -> Answer | None:
        """Return why a mail is deferred uncalled, before it takes a place or a slot."""
        if webhook.paused_at is not None:
            return _PAUSED
        health = await self._deliverer.door.endpoints.health(webhook.id)
        return _FAILING if state(health, utc_now()) is State.OPEN else None

    @contextmanager
    def _place(self, webhook: Webhook) -> Iterator[bool]:
        """Count a mail as under way; yield whether there was a place for it."""
        self._under_way[webhook.id] += 1
        try:
            yield self._under_way[webhook.id] <= self._cap
        finally:
            self._under_way[webhook.id] -= 1
            if not self._under_way[webhook.id]:
                del self._under_way[webhook.id]

    async def _slot(self, webhook: Webhook) -> bool:
        """Wait for the webhook's slot; return False, and take none, when it is too far away."""
        if not webhook.active:
            return True
        now = utc_now()
        pacer, latest = self._deliverer.door.pacer, now + timedelta(seconds=_PATIENCE)
        slot = await pacer.slot_by(webhook, now, latest)
        if slot is None:
            return False
        await asyncio.sleep(_seconds(slot, now))
        return True


def _check_age(asked: DeliveryAsked) -> None:
    age = utc_now() - asked.mail.received_at
    if age > timedelta(seconds=asked.within) + _STALE:
        raise Unavailable(f"the mail came {age} ago; its sender does not wait any more")


def _seconds(slot: datetime, now: datetime) -> float:
    return (slot - now).total_seconds()


def _ids(mail: MailAccepted) -> dict[str, object]:
    return {"delivery_id": mail.delivery_id, "webhook_id": mail.webhook_id}


def _tell(mail: MailAccepted, answered: DeliveryAnswered, late: float) -> None:
    """Log what is told; `late`, in seconds: the sender has been told to try again."""
    extra = _ids(mail) | {"outcome": answered.outcome, "smtp_code": answered.code}
    if late > 0:
        log.warning("delivery.answered_late", extra=extra | {"late_s": round(late, 3)})
    else:
        log.info("delivery.answered", extra=extra)
