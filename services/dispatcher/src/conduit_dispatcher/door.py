"""Which mail goes ahead, and when the others' turn is: the endpoint's health, places, rates."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from conduit.events import MailAccepted
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_dispatcher.breaker import State, state
from conduit_dispatcher.endpoints import FINE, Endpoints, Permit
from conduit_dispatcher.pacing import Pacer, has_slot
from conduit_dispatcher.places import Place, Places

_SOON = timedelta(seconds=10)
"""To a slot. So much mail must be on its way to it, or its webhook does not reach its rate."""


class Why(StrEnum):
    """Why a mail is put off: its webhook's endpoint fails, is busy, or the rate limit says so."""

    FAILING = "failing"
    BUSY = "busy"
    PACED = "paced"


@dataclass(frozen=True, slots=True)
class PutOff:
    """Not now; a turn that is not `PACED` is no more than expected."""

    why: Why
    until: datetime

    def is_brief(self, now: datetime) -> bool:
        """Whether the mail has a slot soon: it is not to be held up beyond that."""
        return self.why is Why.PACED and self.until - now < _SOON


@dataclass(frozen=True, slots=True)
class Entry:
    """Now: with a place, which is to be left after the call, and a permit, which is to be noted.

    Mail whose sender waits has other places, and none of these.
    """

    place: Place | None
    permit: Permit

    def leave(self) -> None:
        """Leave the place after a call."""
        if self.place is not None:
            self.place.leave(called=True)


@dataclass(frozen=True, slots=True)
class Door:
    """What all mail of the queue goes through before its call."""

    endpoints: Endpoints
    places: Places
    pacer: Pacer

    async def admit(self, event: MailAccepted, webhook: Webhook) -> Entry | PutOff:
        """Let a mail in, or put it off; one that came before its turn keeps it."""
        health = await self.endpoints.health(webhook.id)
        if health is None and not webhook.rate_limit:  # as most are
            if (place := self.places.free(webhook.id)) is not None:
                return Entry(place, FINE)
        elif state(health, utc_now()) is State.OPEN:
            return await self._failing(event, webhook)
        place = await self.places.take(webhook.id)
        if place is None:
            return self._busy(event, webhook)
        try:
            admitted = await self._with_place(event, webhook, place)
        except BaseException:
            place.leave()
            raise
        if isinstance(admitted, PutOff):
            place.leave()
        return admitted

    async def _with_place(
        self, event: MailAccepted, webhook: Webhook, place: Place
    ) -> Entry | PutOff:
        """Take a slot of the rate, and the permit last: a probe is not to wait for anything."""
        now = utc_now()
        if webhook.rate_limit and not has_slot(event, now):
            slot = await self.pacer.slot(webhook, now)
            if slot > now:
                return PutOff(Why.PACED, slot)
        permit = await self.endpoints.permit(webhook.id)
        return Entry(place, permit) if permit else await self._failing(event, webhook)

    def _busy(self, event: MailAccepted, webhook: Webhook) -> PutOff:
        if (turn := _turn_of(event)) is None:
            chance = random.random()  # noqa: S311 (spreads the mail of slow endpoints)
            turn = utc_now() + timedelta(seconds=self.places.turn(webhook.id, chance))
        return PutOff(Why.BUSY, turn)

    async def _failing(self, event: MailAccepted, webhook: Webhook) -> PutOff:
        if (turn := _turn_of(event)) is None:
            health = await self.endpoints.health(webhook.id)
            retry_at = health.retry_at if health else None
            turn = self.endpoints.turn(webhook.id, retry_at or utc_now())
        return PutOff(Why.FAILING, turn)


def _turn_of(event: MailAccepted) -> datetime | None:
    """Return the turn that a mail has already, if it is still to come."""
    return event.not_before if event.due_in(utc_now()) > timedelta(0) else None
