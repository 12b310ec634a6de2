"""Rate limits: each call of a limited webhook has a slot, given out over all dispatchers."""

from datetime import datetime, timedelta
from typing import Protocol

from conduit.model.webhook import Webhook
from conduit_dispatcher.locks import Locks

_MINUTE = timedelta(minutes=1)


class Slots(Protocol):
    """Gives out moments at least `interval` apart."""

    async def take(self, webhook_id: str, now: datetime, interval: timedelta) -> datetime:
        """Return `now` or a later moment."""

    async def take_by(
        self, webhook_id: str, now: datetime, interval: timedelta, latest: datetime
    ) -> datetime | None:
        """Return the same, or None, and take none, when it would be later than `latest`."""


class Pacer:
    """Says when the next call of a webhook may be made."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._locks = Locks()

    async def slot(self, webhook: Webhook, now: datetime) -> datetime:
        """Return the moment of the next call: `now` when the webhook has no limit."""
        if webhook.rate_limit == 0:
            return now
        async with self._locks.of(webhook.id):
            return await self._slots.take(webhook.id, now, _MINUTE / webhook.rate_limit)

    async def slot_by(self, webhook: Webhook, now: datetime, latest: datetime) -> datetime | None:
        """Return the same, or None, and take no slot, when it would be later than `latest`."""
        if webhook.rate_limit == 0:
            return now
        async with self._locks.of(webhook.id):
            return await self._slots.take_by(webhook.id, now, _MINUTE / webhook.rate_limit, latest)
