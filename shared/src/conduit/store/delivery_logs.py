"""The delivery log: one document an attempt, written in batches, unique by delivery and number."""

from collections.abc import Sequence
from datetime import timedelta

from pymongo.errors import BulkWriteError

from conduit.model.delivery import Attempt, AttemptFilter
from conduit.store.connection import Document, Store, raise_unless_duplicates, translated
from conduit.store.mail_filter import COUNTED, match_of

_NEWEST_FIRST = [("attempted_at", -1), ("_id", -1)]
_ANY = AttemptFilter()
_MOST_ATTEMPTS = 1_000
"""Far above what a schedule of retries makes of one mail; a bound for what one answer may hold."""


class DeliveryLogs:
    """What was tried for each webhook, newest first."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("delivery_logs")
        self._retention = retention

    async def add(self, attempts: Sequence[Attempt]) -> None:
        """Write attempts. One that is there already, from before a crash, is left as it is."""
        documents = [self._document(attempt) for attempt in attempts]
        with translated():
            try:
                await self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                raise_unless_duplicates(error)

    async def page(
        self, webhook_id: str, page: int, page_size: int, wanted: AttemptFilter = _ANY
    ) -> list[Attempt]:
        """Return one page, counted from 1."""
        cursor = self._collection.find(_match(webhook_id, wanted)).sort(_NEWEST_FIRST)
        with translated():
            documents = await cursor.skip((page - 1) * page_size).to_list(page_size)
        return [_attempt(document) for document in documents]

    async def count(self, webhook_id: str, wanted: AttemptFilter = _ANY) -> int:
        """Return how many entries of a webhook there are, COUNTED at most."""
        with translated():
            return await self._collection.count_documents(_match(webhook_id, wanted), limit=COUNTED)

    async def entry(self, webhook_id: str, log_id: str) -> Attempt | None:
        """Return one entry of a webhook."""
        with translated():
            document = await self._collection.find_one({"_id": log_id, "webhook_id": webhook_id})
        return None if document is None else _attempt(document)

    async def attempt(self, delivery_id: str, number: int) -> Attempt | None:
        """Return the recorded attempt with this number, so that it need not be made again."""
        with translated():
            document = await self._collection.find_one(
                {"delivery_id": delivery_id, "number": number}
            )
        return None if document is None else _attempt(document)

    async def of_delivery(self, delivery_id: str) -> list[Attempt]:
        """Return all attempts of a delivery, in order."""
        cursor = self._collection.find({"delivery_id": delivery_id}).sort([("number", 1)])
        with translated():
            documents = await cursor.to_list(_MOST_ATTEMPTS)
        return [_attempt(document) for document in documents]

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete all entries of webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"webhook_id": {"$in": list(webhook_ids)}})

    def _document(self, attempt: Attempt) -> Document:
        document = attempt.model_dump()
        document["_id"] = document.pop("id")
        document["expires_at"] = attempt.attempted_at + self._retention
        return document


def _match(webhook_id: str, wanted: AttemptFilter) -> Document:
    match = match_of(webhook_id, "attempted_at", wanted.mails)
    if wanted.results:
        match["result"] = {"$in": list(wanted.results)}
    return match


def _attempt(document: Document) -> Attempt:
    """Read an attempt. A newer Conduit may have written fields that this one does not know."""
    fields = {name: document[name] for name in Attempt.model_fields if name in document}
    return Attempt(id=document["_id"], **fields)
