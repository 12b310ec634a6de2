"""The collection of notices: which owners are to be told what, and which of it was handed over.

Whoever sends a notice takes it for a while first, so that no other replica sends it too, and notes
that it is done afterwards: a crash in between has it sent again once that while is over. What is
done is kept for a month, so that the same occasion does not make a second notice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from conduit.errors import DuplicateKey
from conduit.model.notice import Notice
from conduit.store.connection import Document, Store, translated

_KEPT = timedelta(days=30)


class Notices:
    """Notices by occasion. `due_at` is when one may be taken next, None when it is done."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("notices")

    async def add(self, notice: Notice) -> None:
        """Add a notice. One that is there, done or not, is left as it is."""
        document = notice.model_dump()
        document["_id"] = document.pop("id")
        document |= {"due_at": notice.due_at, "expires_at": notice.made_at + _KEPT}
        try:
            with translated():
                await self._collection.insert_one(document)
        except DuplicateKey:
            return

    async def due(self, now: datetime, limit: int) -> list[Notice]:
        """Return notices that may be taken, at most `limit`, the one due first is first."""
        cursor = self._collection.find({"due_at": {"$lte": now}}).sort([("due_at", 1)])
        with translated():
            documents = await cursor.to_list(limit)
        return [_notice(document) for document in documents]

    async def take(self, notice_id: str, now: datetime, until: datetime) -> bool:
        """Take a notice for the time up to `until`; return False when it is not to be had."""
        with translated():
            result = await self._collection.update_one(
                {"_id": notice_id, "due_at": {"$lte": now}}, {"$set": {"due_at": until}}
            )
        return bool(result.matched_count)

    async def done(self, notice_ids: Sequence[str]) -> None:
        """Note that these notices need no more sending."""
        with translated():
            await self._collection.update_many(
                {"_id": {"$in": list(notice_ids)}}, {"$set": {"due_at": None}}
            )

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete all notices about these webhooks."""
        with translated():
            await self._collection.delete_many({"webhook_id": {"$in": list(webhook_ids)}})


def _notice(document: Document) -> Notice:
    """Read a notice. A newer Conduit may have written fields that this one does not know."""
    fields = {name: document[name] for name in Notice.model_fields if name in document}
    return Notice(id=document["_id"], **fields)
