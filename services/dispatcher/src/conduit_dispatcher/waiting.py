"""Mail that has to wait: on a delay queue until its turn, or in the store while it is paused."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import Counter

from conduit.bus.consumer import Again, Incoming
from conduit.events import MailAccepted, Packet, encode
from conduit.mail.parse import ParsedMail
from conduit.model.delivery import DeliveryState
from conduit.model.ids import made_at
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_dispatcher.door import PutOff, Why
from conduit_dispatcher.lanes import Lane, parked
from conduit_dispatcher.mails import Mails
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.records import delivery_of, mail_to_keep

PUT_OFF = Counter(
    "conduit_dispatcher_put_off",
    "Mails that had to wait: for an endpoint that fails or is busy, a rate, a paused webhook.",
    ["why", "lane"],
)

_BRIEF = 60.0
"""Seconds of a wait that is not written down, unless it is the first for an endpoint that fails."""


class Deliveries(Protocol):
    """What is needed of the deliveries, beside their records."""

    async def postpone(self, delivery_id: str, attempts: int, until: datetime) -> bool:
        """Write when the next attempt will be; return False when that is on no record."""


class Holdings(Protocol):
    """Where it is noted which webhooks have mail that waits in the store."""

    async def note(self, webhook_id: str, now: datetime) -> None:
        """Write that mail of a webhook is held, after the mail itself was."""


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """Has mail of a lane wait, for `longest_wait` at most, and has that seen."""

    lane: Lane
    mails: Mails
    deliveries: Deliveries
    holdings: Holdings
    recorder: Recorder
    longest_wait: timedelta

    async def hold(self, event: MailAccepted, webhook: Webhook) -> bool:
        """Keep a mail in the store until its webhook is resumed; False: it is not kept any more."""
        now = utc_now()
        mail = await self.mails.secure(event, now + self.longest_wait)
        if mail is None:
            return False
        await self._record(event, webhook, mail, held_at=now)
        await self.holdings.note(webhook.id, now)
        PUT_OFF.labels("paused", self.lane.queue).inc()
        return True

    def in_vain(self, event: MailAccepted, put_off: PutOff) -> bool:
        """Whether a mail would wait for longer than mail waits for an endpoint that fails."""
        if put_off.why is not Why.FAILING or put_off.until == event.not_before:
            return False
        return utc_now() - made_at(event.delivery_id) > self.longest_wait

    async def put_off(
        self,
        incoming: Incoming,
        event: MailAccepted,
        webhook: Webhook,
        put_off: PutOff,
        told: Packet | None,
    ) -> Again:
        """Have a mail wait on a delay queue, and have that seen, for its turn may be hours away."""
        until = put_off.until
        wait = (until - utc_now()).total_seconds()
        if until == event.not_before:
            return parked(incoming.packet, wait)
        PUT_OFF.labels(put_off.why, self.lane.queue).inc()
        paced, failing = put_off.why is Why.PACED, put_off.why is Why.FAILING
        known, matters = event.on_record, wait >= _BRIEF
        if paced or (not known and (failing or matters)):
            await self._record_pending(event, webhook, until)
            known = True
        elif failing and matters:
            await self._record_postponed(event, webhook, until)
        later = encode(event.postponed(until, paced=paced, parked=not paced, recorded=known))
        if paced:
            return self.lane.later(later, wait, paced=True, told=told)
        return parked(later, wait, told)

    async def _record_pending(self, event: MailAccepted, webhook: Webhook, at: datetime) -> None:
        mail = await self.mails.read(event, needed=at)
        await self._record(event, webhook, mail, next_attempt_at=at)

    async def _record_postponed(self, event: MailAccepted, webhook: Webhook, at: datetime) -> None:
        """Write the turn of a mail that is on record, in place of the whole record."""
        await self.mails.need(event, at)
        if not await self.deliveries.postpone(event.delivery_id, event.attempt - 1, at):
            await self._record_pending(event, webhook, at)

    async def _record(
        self,
        event: MailAccepted,
        webhook: Webhook,
        mail: ParsedMail | None,
        *,
        next_attempt_at: datetime | None = None,
        held_at: datetime | None = None,
    ) -> None:
        pending, now = DeliveryState.PENDING, utc_now()
        delivery = delivery_of(event, webhook, mail, pending, next_attempt_at, now)
        waiting = delivery._replace(attempts=event.attempt - 1, held_at=held_at)
        await self.recorder.record(
            waiting, message=mail_to_keep(event) if held_at is None else None
        )
