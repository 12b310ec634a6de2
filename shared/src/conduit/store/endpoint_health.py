"""The collection of endpoints that fail, which all dispatchers share.

One small document a webhook, there only while its endpoint fails. It is changed whole, with a check
of what was read, by the dispatchers and by who watches over it for the webhook's owner.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from conduit.errors import DuplicateKey
from conduit.model.endpoint_health import EndpointHealth
from conduit.store.batched import pieces
from conduit.store.connection import Document, Store, translated


class EndpointHealths:
    """The health of the endpoints that fail, by the id of their webhook."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("endpoint_health")

    async def of_id(self, webhook_id: str) -> EndpointHealth | None:
        """Return the health of a webhook's endpoint; None: it is fine."""
        return (await self.of_ids([webhook_id])).get(webhook_id)

    async def of_ids(self, webhook_ids: Collection[str]) -> dict[str, EndpointHealth]:
        """Return the health of these webhooks' endpoints, for those that fail."""
        found: dict[str, EndpointHealth] = {}
        for ids in pieces(webhook_ids):
            with translated():
                documents = await self._collection.find({"_id": {"$in": ids}}).to_list(len(ids))
            found |= {document["_id"]: _health(document) for document in documents}
        return found

    async def due(self, since: datetime, now: datetime, limit: int) -> list[EndpointHealth]:
        """Return endpoints that nobody has leased, the first call of which failed by `since`.

        Those that have failed the longest come first.
        """
        match = {"failing_since": {"$lte": since}, "leased_until": {"$not": {"$gt": now}}}
        cursor = self._collection.find(match).sort([("failing_since", 1)])
        with translated():
            documents = await cursor.to_list(limit)
        return [_health(document) for document in documents]

    async def write(self, health: EndpointHealth) -> EndpointHealth | None:
        """Write a health over the one it was made of, and return it as written.

        Return None, and write nothing, when that one was changed or removed meanwhile.
        """
        written = health.model_copy(update={"version": health.version + 1})
        try:
            with translated():
                if health.version == 0:
                    await self._collection.insert_one(_document(written))
                    return written
                # The same version may be of an earlier failing that has ended.
                seen = {"version": health.version, "failing_since": health.failing_since}
                result = await self._collection.replace_one(
                    {"_id": health.webhook_id, **seen}, _document(written)
                )
        except DuplicateKey:
            return None
        return written if result.matched_count else None

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete what is known of endpoints that are fine again, or of deleted webhooks."""
        with translated():
            await self._collection.delete_many({"_id": {"$in": list(webhook_ids)}})


def _document(health: EndpointHealth) -> Document:
    document = health.model_dump()
    document["_id"] = document.pop("webhook_id")
    return document


def _health(document: Document) -> EndpointHealth:
    """Read a health. A newer Conduit may have written fields that this one does not know."""
    fields = {name: document[name] for name in EndpointHealth.model_fields if name in document}
    return EndpointHealth(webhook_id=document["_id"], **fields)
