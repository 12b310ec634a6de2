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

_IDLE = timedelta(days=1)
"""How long the document of a webhook without mail is kept."""


class Slots:
    """Gives out moments, at least `interval` apart, first come first served."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("slots")

    async def take(self, webhook_id: str, now: datetime, interval: timedelta) -> datetime:
        """Return the moment at which the caller may go ahead: `now` or later."""
        for _ in range(_TRIES):
            slot = await self._try(webhook_id, now, interval)
            if slot is not None:
                return slot
        raise StoreUnavailable("the slots of this webhook are contended")

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete the documents of webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"_id": {"$in": list(webhook_ids)}})

    async def _try(self, webhook_id: str, now: datetime, interval: timedelta) -> datetime | None:
        with translated():
            seen = await self._collection.find_one({"_id": webhook_id})
        slot = now if seen is None else max(now, seen["next_at"])
        following = {"next_at": slot + interval, "expires_at": slot + interval + _IDLE}
        try:
            with translated():
                if seen is None:
                    await self._collection.insert_one({"_id": webhook_id, **following})
                    return slot
                result = await self._collection.replace_one(
                    {"_id": webhook_id, "next_at": seen["next_at"]}, following
                )
        except DuplicateKey:
            return None
        return slot if result.matched_count else None
