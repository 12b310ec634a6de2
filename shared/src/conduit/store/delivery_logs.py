"""The delivery log: one document an attempt, written in batches, unique by delivery and number."""

from collections.abc import Sequence
from datetime import timedelta

from pymongo.errors import BulkWriteError

from conduit.model.delivery import Attempt
from conduit.store.connection import Document, Store, raise_unless_duplicates, translated

_NEWEST_FIRST = [("attempted_at", -1), ("_id", -1)]


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

    async def page(self, webhook_id: str, page: int, page_size: int) -> list[Attempt]:
        """Return one page, counted from 1."""
        cursor = self._collection.find({"webhook_id": webhook_id}).sort(_NEWEST_FIRST)
        with translated():
            documents = await cursor.skip((page - 1) * page_size).to_list(page_size)
        return [_attempt(document) for document in documents]

    async def count(self, webhook_id: str) -> int:
        """Return how many entries a webhook has."""
        with translated():
            return await self._collection.count_documents({"webhook_id": webhook_id})

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

    def _document(self, attempt: Attempt) -> Document:
        document = attempt.model_dump()
        document["_id"] = document.pop("id")
        document["expires_at"] = attempt.attempted_at + self._retention
        return document


def _attempt(document: Document) -> Attempt:
    fields = {k: v for k, v in document.items() if k not in ("_id", "expires_at")}
    return Attempt(id=document["_id"], **fields)
