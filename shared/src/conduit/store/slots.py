"""The collection of slots: when the next call of a rate-limited webhook may be made.

One small document a webhook, moved on with a check of what was read, so that all dispatchers
together keep to one rate.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from conduit.errors import DuplicateKey, StoreUnavailable
from conduit.store.connection import Store, translated

_TRIES = 50
"""Rounds against other replicas that take slots of the same webhook at the same moment."""

_CONTENDED = "the slots of this webhook are contended"

_IDLE = timedelta(days=1)
"""How long the document of a webhook without mail is kept."""


class Slots:
    """Gives out moments, at least `interval` apart, first come first served."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("slots")

    async def take(self, webhook_id: str, now: datetime, interval: timedelta) -> datetime:
        """Return the moment at which the caller may go ahead: `now` or later."""
        for _ in range(_TRIES):
            seen = await self._next_at(webhook_id)
            slot = max(now, seen or now)
            if await self._moved_on(webhook_id, seen, slot + interval):
                return slot
        raise StoreUnavailable(_CONTENDED)

    async def take_by(
        self, webhook_id: str, now: datetime, interval: timedelta, latest: datetime
    ) -> datetime | None:
        """Return such a moment up to `latest`; None, and nothing is taken, when there is none."""
        for _ in range(_TRIES):
            seen = await self._next_at(webhook_id)
            slot = max(now, seen or now)
            if slot > latest:
                return None
            if await self._moved_on(webhook_id, seen, slot + interval):
                return slot
        raise StoreUnavailable(_CONTENDED)

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete the documents of webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"_id": {"$in": list(webhook_ids)}})

    async def _next_at(self, webhook_id: str) -> datetime | None:
        with translated():
            seen = await self._collection.find_one({"_id": webhook_id})
        return None if seen is None else seen["next_at"]

    async def _moved_on(self, webhook_id: str, seen: datetime | None, next_at: datetime) -> bool:
        """Write the next moment; return False when another replica has been faster."""
        following = {"next_at": next_at, "expires_at": next_at + _IDLE}
        try:
            with translated():
                if seen is None:
                    await self._collection.insert_one({"_id": webhook_id, **following})
                    return True
                result = await self._collection.replace_one(
                    {"_id": webhook_id, "next_at": seen}, following
                )
        except DuplicateKey:
            return False
        return bool(result.matched_count)
