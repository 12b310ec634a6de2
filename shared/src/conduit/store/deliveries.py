"""The collection of deliveries: where each mail stands, the latest attempt's word winning."""

from collections.abc import Sequence
from datetime import timedelta

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from conduit.model.delivery import Delivery
from conduit.store.connection import Document, Store, raise_unless_duplicates, translated


class Deliveries:
    """One document a delivery, replaced whole after each attempt."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("deliveries")
        self._retention = retention

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries. One whose later attempt is there already is left as it is.

        The filter then matches nothing, and the insert that an upsert falls back to meets the
        document's own id.
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

    def _document(self, delivery: Delivery) -> Document:
        document = delivery.model_dump()
        document["_id"] = document.pop("id")
        document["expires_at"] = delivery.updated_at + self._retention
        return document
