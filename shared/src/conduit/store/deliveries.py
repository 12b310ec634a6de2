"""The collection of deliveries: where each mail stands, the latest attempt's word winning."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from pydantic import TypeAdapter
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from conduit.model.authentication import AuthResults
from conduit.model.delivery import Delivery, DeliveryFilter, DeliveryState
from conduit.store.connection import Document, Store, raise_unless_duplicates, translated
from conduit.store.inserts import insert_new
from conduit.store.mail_filter import COUNTED, match_of

_NEWEST_FIRST = [("received_at", -1), ("_id", -1)]
_OLDEST_FIRST = [("received_at", 1), ("_id", 1)]
_FIELDS = ("_id", *Delivery._fields[1:])
_DELIVERY = TypeAdapter(Delivery)
_AUTHENTICATION = TypeAdapter(AuthResults)


class Deliveries:
    """One document a delivery, replaced whole after each attempt."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("deliveries")
        self._retention = retention

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries. One whose later attempt is there already is left as it is.

        Most are of a first attempt and new, so that one batch of inserts writes them, without the
        look-up that each upsert makes.
        """
        first = [self._document(each) for each in deliveries if each.attempts <= 1]
        known = await insert_new(self._collection, first) if first else set()
        rest = [each for each in deliveries if each.attempts > 1 or each.id in known]
        if rest:
            await self._upsert(rest)

    async def _upsert(self, deliveries: Sequence[Delivery]) -> None:
        """Write those that are new or of a later attempt.

        For others the filter matches nothing, and the insert that an upsert falls back to meets
        the document's own id.
        """
        writes = [
            ReplaceOne(
                {"_id": delivery.id, "attempts": {"$lte": delivery.attempts}},
                self._document(delivery),
                upsert=True,
            )
            for delivery in deliveries
        ]
        with translated():
            try:
                await self._collection.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                raise_unless_duplicates(error)

    async def of_webhook(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Return a delivery to this webhook."""
        match = {"_id": delivery_id, "webhook_id": webhook_id}
        with translated():
            document = await self._collection.find_one(match)
        return None if document is None else _delivery(document)

    async def page(
        self, webhook_id: str, page: int, page_size: int, wanted: DeliveryFilter
    ) -> list[Delivery]:
        """Return one page, counted from 1, the mail that came last first."""
        cursor = self._collection.find(_match(webhook_id, wanted)).sort(_NEWEST_FIRST)
        with translated():
            documents = await cursor.skip((page - 1) * page_size).to_list(page_size)
        return [_delivery(document) for document in documents]

    async def count(self, webhook_id: str, wanted: DeliveryFilter) -> int:
        """Return how many deliveries of a webhook there are, COUNTED at most."""
        with translated():
            return await self._collection.count_documents(_match(webhook_id, wanted), limit=COUNTED)

    async def not_replayed(
        self,
        webhook_id: str,
        wanted: DeliveryFilter,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Delivery]:
        """Return deliveries that were not replayed yet, the mail that came first first.

        `after` is the receipt and the id of the last one that was seen before.
        """
        match = _match(webhook_id, wanted) | {"replayed_at": None}
        if after is not None:
            moment, delivery_id = after
            later = {"received_at": {"$gt": moment}}
            match["$or"] = [later, {"received_at": moment, "_id": {"$gt": delivery_id}}]
        cursor = self._collection.find(match).sort(_OLDEST_FIRST)
        with translated():
            documents = await cursor.to_list(limit)
        return [_delivery(document) for document in documents]

    async def note_replayed(self, delivery_ids: Sequence[str], at: datetime) -> None:
        """Write that deliveries were replayed, beside what a dispatcher may write of them."""
        with translated():
            await self._collection.update_many(
                {"_id": {"$in": list(delivery_ids)}}, {"$set": {"replayed_at": at}}
            )

    async def held(
        self, webhook_id: str, limit: int, before: datetime | None = None
    ) -> list[Delivery]:
        """Return deliveries that wait in the store, those held the longest first."""
        moment = {"$exists": True} if before is None else {"$exists": True, "$lt": before}
        cursor = self._collection.find({"webhook_id": webhook_id, "held_at": moment})
        with translated():
            documents = await cursor.sort([("held_at", 1)]).to_list(limit)
        return [_delivery(document) for document in documents]

    async def let_go(self, held: Sequence[Delivery], now: datetime) -> None:
        """Write that deliveries are on the queue again.

        One that went on in the meantime, or is held anew, is left as it is.
        """
        change = {
            "$unset": {"held_at": ""},
            "$set": {"updated_at": now, "expires_at": now + self._retention},
        }
        writes = [UpdateOne({"_id": each.id, "held_at": each.held_at}, change) for each in held]
        if writes:
            with translated():
                await self._collection.bulk_write(writes, ordered=False)

    async def postpone(self, delivery_id: str, attempts: int, until: datetime) -> bool:
        """Write when the next attempt will be; return False when there is no such record.

        `attempts` is how many were made: what is known of a later one is left as it is.
        """
        with translated():
            result = await self._collection.update_one(
                {"_id": delivery_id, "attempts": attempts, "state": DeliveryState.PENDING},
                {"$set": {"next_attempt_at": until}},
            )
        return bool(result.matched_count)

    async def unshared_mails(
        self, webhook_ids: Sequence[str], size: int
    ) -> AsyncIterator[list[str]]:
        """Yield the ids of the mails that came for one account alone, this many at a time."""
        match = {"webhook_id": {"$in": list(webhook_ids)}, "shared": False}
        cursor = self._collection.find(match, {"message_id": True})
        while True:
            with translated():
                documents = await cursor.to_list(size)
            if not documents:
                return
            yield [document["message_id"] for document in documents]

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete all deliveries to webhooks whose account is deleted."""
        with translated():
            await self._collection.delete_many({"webhook_id": {"$in": list(webhook_ids)}})

    def _document(self, delivery: Delivery) -> Document:
        document: Document = dict(zip(_FIELDS, delivery, strict=True))
        if delivery.authentication is not None:
            document["authentication"] = _AUTHENTICATION.dump_python(delivery.authentication)
        if delivery.held_at is None:
            del document["held_at"]
            document["expires_at"] = delivery.updated_at + self._retention
        # What is held has no date: the record alone knows of the mail.
        return document


def _match(webhook_id: str, wanted: DeliveryFilter) -> Document:
    match = match_of(webhook_id, "received_at", wanted.mails)
    if wanted.state is not None:
        match["state"] = wanted.state
    return match


def _delivery(document: Document) -> Delivery:
    """Read a delivery. A newer Conduit may have written fields that this one does not know."""
    fields = {name: document[name] for name in _FIELDS[1:] if name in document}
    return _DELIVERY.validate_python({"id": document["_id"], **fields})
