"""The delivery log: one document an attempt or refusal, written in batches.

Attempts are unique by delivery and number. Refusals stand under a key of their own beside that of
their webhook: one index gives both in one order, and an older Conduit, which may run beside this
one and knows attempts only, does not come upon them.
"""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import TypeAdapter

from conduit.model.delivery import Attempt, LogEntry, LogFilter, Refusal
from conduit.store.connection import Document, Store, translated
from conduit.store.inserts import insert_new
from conduit.store.mail_filter import COUNTED, match_of

_NEWEST_FIRST = [("attempted_at", -1), ("_id", -1)]
_ANY = LogFilter()
_FIELDS = ("_id", *Attempt._fields[1:])
_ATTEMPT = TypeAdapter(Attempt)
_REFUSED = "refused "
_MOST_ATTEMPTS = 1_000
"""Far above what a schedule of retries makes of one mail; a bound for what one answer may hold."""


class DeliveryLogs:
    """What was tried and what was refused for each webhook, newest first."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("delivery_logs")
        self._retention = retention

    async def add(self, entries: Sequence[LogEntry]) -> None:
        """Write entries. One that is there already, from before a crash, is left as it is."""
        await insert_new(self._collection, [self._document(entry) for entry in entries])

    async def page(
        self, webhook_id: str, page: int, page_size: int, wanted: LogFilter = _ANY
    ) -> list[LogEntry]:
        """Return one page, counted from 1."""
        cursor = self._collection.find(_match(webhook_id, wanted)).sort(_NEWEST_FIRST)
        with translated():
            documents = await cursor.skip((page - 1) * page_size).to_list(page_size)
        return [_entry(document) for document in documents]

    async def count(self, webhook_id: str, wanted: LogFilter = _ANY) -> int:
        """Return how many entries of a webhook there are, COUNTED at most."""
        with translated():
            return await self._collection.count_documents(_match(webhook_id, wanted), limit=COUNTED)

    async def entry(self, webhook_id: str, log_id: str) -> LogEntry | None:
        """Return one entry of a webhook."""
        match = {"_id": log_id, "webhook_id": {"$in": _keys(webhook_id)}}
        with translated():
            document = await self._collection.find_one(match)
        return None if document is None else _entry(document)

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
        keys = [key for webhook_id in webhook_ids for key in _keys(webhook_id)]
        with translated():
            await self._collection.delete_many({"webhook_id": {"$in": keys}})

    def _document(self, entry: LogEntry) -> Document:
        document = _of_refusal(entry) if isinstance(entry, Refusal) else _of_attempt(entry)
        document["expires_at"] = entry.attempted_at + self._retention
        return document


def _of_attempt(attempt: Attempt) -> Document:
    return dict(zip(_FIELDS, attempt, strict=True))


def _of_refusal(refusal: Refusal) -> Document:
    document = refusal.model_dump()
    document["_id"] = document.pop("id")
    document["webhook_id"] = _REFUSED + refusal.webhook_id
    document["delivery_id"] = refusal.id  # there is none, but an index wants them to differ
    return document


def _keys(webhook_id: str) -> tuple[str, str]:
    """Return what the attempts and the refusals of a webhook stand under."""
    return webhook_id, _REFUSED + webhook_id


def _match(webhook_id: str, wanted: LogFilter) -> Document:
    attempts, refusals = _keys(webhook_id)
    match = match_of(attempts, "attempted_at", wanted.mails)
    if wanted.results:
        match["result"] = {"$in": list(wanted.results)}
    elif wanted.refused:
        match["webhook_id"] = refusals
    else:
        match["webhook_id"] = {"$in": [attempts, refusals]}
    return match


def _entry(document: Document) -> LogEntry:
    refused = document["webhook_id"].startswith(_REFUSED)
    return _refusal(document) if refused else _attempt(document)


def _refusal(document: Document) -> Refusal:
    fields = {name: document[name] for name in Refusal.model_fields if name in document}
    webhook_id = document["webhook_id"].removeprefix(_REFUSED)
    return Refusal(id=document["_id"], **fields | {"webhook_id": webhook_id})


def _attempt(document: Document) -> Attempt:
    """Read an attempt. A newer Conduit may have written fields that this one does not know."""
    fields = {name: document[name] for name in _FIELDS[1:] if name in document}
    return _ATTEMPT.validate_python({"id": document["_id"], **fields})
