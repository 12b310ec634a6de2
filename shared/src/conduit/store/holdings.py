"""The collection of holdings: which webhooks have mail that waits in the store.

A look at it is cheap however much mail waits. There is a document as long as a held delivery of the
webhook may be there: it is written after each, and removed only when none was found long after.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from conduit.errors import DuplicateKey
from conduit.store.connection import Store, translated

SETTLED = timedelta(minutes=1)
"""How long a holding outlasts the latest note of it, which the clock of another dispatcher gave."""


class Holding(NamedTuple):
    """A webhook with held mail, and when the latest was noted. Before `leased_until` somebody
    sees to it."""

    webhook_id: str
    noted_at: datetime
    leased_until: datetime


class Holdings:
    """Notes of webhooks with held mail."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("holdings")

    async def note(self, webhook_id: str, now: datetime) -> None:
        """Write that mail of a webhook is held, after the mail itself was."""
        change = {"$max": {"noted_at": now}, "$setOnInsert": {"leased_until": now}}
        while True:
            try:
                with translated():
                    await self._collection.update_one({"_id": webhook_id}, change, upsert=True)
            except DuplicateKey:  # another's insert at the same moment
                continue
            return

    async def free(self, now: datetime, limit: int) -> list[Holding]:
        """Return holdings that nobody sees to, those first that were seen to the longest ago."""
        cursor = self._collection.find({"leased_until": {"$lte": now}})
        with translated():
            documents = await cursor.sort([("leased_until", 1)]).to_list(limit)
        return [Holding(each["_id"], each["noted_at"], each["leased_until"]) for each in documents]

    async def lease(self, holding: Holding, until: datetime) -> Holding | None:
        """See to a holding until a moment; None: somebody else does."""
        seen = {"_id": holding.webhook_id, "leased_until": holding.leased_until}
        with translated():
            result = await self._collection.update_one(seen, {"$set": {"leased_until": until}})
        return holding._replace(leased_until=until) if result.matched_count else None

    async def settle(self, holding: Holding, now: datetime) -> None:
        """Remove a holding of which no mail was found, if none can have come meanwhile."""
        if holding.noted_at > now - SETTLED:
            return
        with translated():
            await self._collection.delete_one(
                {"_id": holding.webhook_id, "noted_at": holding.noted_at}
            )

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete the notes of webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"_id": {"$in": list(webhook_ids)}})
