"""The collection of slots: when the next call of a rate-limited webhook may be made.

One small document a webhook, moved on with a check of what was read, so that all dispatchers
together keep to one rate. MongoDB's dates have milliseconds; `fraction` has the microseconds below
those of `next_at`, without which a rate of 9,000 a minute would become one of 10,000.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from conduit.errors import DuplicateKey, StoreUnavailable
from conduit.store.connection import Document, Store, translated

_TRIES = 50
"""Rounds against other replicas that take slots of the same webhook at the same moment."""

_MILLISECOND = 1000  # microseconds

_CONTENDED = "the slots of this webhook are contended"

_IDLE = timedelta(days=1)
"""How long the document of a webhook without mail is kept."""


class Slots:
    """Gives out moments, at least `interval` apart, first come first served."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("slots")

    async def take(
        self, webhook_id: str, now: datetime, interval: timedelta, count: int = 1
    ) -> datetime:
        """Return the moment at which the caller may go ahead: `now` or later.

        It is the first of `count` such moments, the others follow it at the interval.
        """
        for _ in range(_TRIES):
            seen = await self._seen(webhook_id)
            slot = max(now, _next_at(seen) or now)
            if await self._moved_on(webhook_id, seen, slot + count * interval):
                return slot
        raise StoreUnavailable(_CONTENDED)

    async def take_by(
        self, webhook_id: str, now: datetime, interval: timedelta, latest: datetime
    ) -> datetime | None:
        """Return such a moment up to `latest`; None, and nothing is taken, when there is none."""
        for _ in range(_TRIES):
            seen = await self._seen(webhook_id)
            slot = max(now, _next_at(seen) or now)
            if slot > latest:
                return None
            if await self._moved_on(webhook_id, seen, slot + interval):
                return slot
        raise StoreUnavailable(_CONTENDED)

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete the documents of webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"_id": {"$in": list(webhook_ids)}})

    async def _seen(self, webhook_id: str) -> Document | None:
        with translated():
            return await self._collection.find_one({"_id": webhook_id})

    async def _moved_on(self, webhook_id: str, seen: Document | None, next_at: datetime) -> bool:
        """Write the next moment; return False when another replica has been faster."""
        following = {
            "next_at": next_at,
            "fraction": next_at.microsecond % _MILLISECOND,
            "expires_at": next_at + _IDLE,
        }
        try:
            with translated():
                if seen is None:
                    await self._collection.insert_one({"_id": webhook_id, **following})
                    return True
                # One of an older version has no fraction, which is as None for a server.
                unchanged = {"next_at": seen["next_at"], "fraction": seen.get("fraction")}
                result = await self._collection.replace_one(
                    {"_id": webhook_id, **unchanged}, following
                )
        except DuplicateKey:
            return False
        return bool(result.matched_count)


def _next_at(seen: Document | None) -> datetime | None:
    if seen is None:
        return None
    moment: datetime = seen["next_at"]
    return moment + timedelta(microseconds=seen.get("fraction", 0))
