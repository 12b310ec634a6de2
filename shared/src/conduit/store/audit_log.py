"""The collection of audit entries, kept for 180 days."""

from datetime import timedelta

from conduit.model.audit import Action, AuditEntry
from conduit.store.connection import Store, translated

RETENTION = timedelta(days=180)


class AuditLog:
    """What was done to each account, newest first."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("audit_log")

    async def add(self, entry: AuditEntry) -> None:
        """Write an entry."""
        document = entry.model_dump()
        document["_id"] = document.pop("id")
        document["expires_at"] = entry.at + RETENTION
        with translated():
            await self._collection.insert_one(document)

    async def newest(self, account_id: str, limit: int) -> list[AuditEntry]:
        """Return an account's newest entries."""
        cursor = self._collection.find({"account_id": account_id}).sort([("at", -1), ("_id", -1)])
        with translated():
            documents = await cursor.to_list(limit)
        return [_entry(document) for document in documents]

    async def webhooks(self, account_id: str) -> set[str]:
        """Return the ids of all webhooks that the account had, as far as entries reach back."""
        actions = [Action.WEBHOOK_CREATED, Action.WEBHOOK_DELETED]
        match = {"account_id": account_id, "action": {"$in": actions}}
        with translated():
            documents = await self._collection.find(match, {"subject": True}).to_list(None)
        return {document["subject"] for document in documents}

    async def forget(self, account_id: str) -> None:
        """Delete all entries of an account that is deleted."""
        with translated():
            await self._collection.delete_many({"account_id": account_id})


def _entry(document: dict[str, object]) -> AuditEntry:
    fields = {k: v for k, v in document.items() if k not in ("_id", "expires_at")}
    return AuditEntry.model_validate({"id": document["_id"], **fields})
