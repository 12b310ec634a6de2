"""A collection of records: whole documents, replaced with a version check."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from conduit.errors import VersionConflict
from conduit.model.record import Record, utc_now
from conduit.store.connection import Document, Match, Store, translated

R = TypeVar("R", bound=Record)


def to_document(record: Record) -> Document:
    """Return a record as the store keeps it, its id as `_id`."""
    document = record.model_dump()
    document["_id"] = document.pop("id")
    return document


def from_document(kind: type[R], document: Document) -> R:
    """Return the record that a document holds."""
    return kind.model_validate({**document, "id": document["_id"]})


class Records(Generic[R]):
    """One collection. Its module subclasses this and adds the queries that it answers."""

    name: str
    kind: type[R]

    def __init__(self, store: Store) -> None:
        self._collection = store.collection(self.name)

    async def insert(self, record: R) -> None:
        """Add a record, or raise DuplicateKey."""
        with translated():
            await self._collection.insert_one(to_document(record))

    async def replace(self, record: R) -> R:
        """Write a changed record over the one it was read from, and return it as written.

        Raise VersionConflict when that one was changed or removed meanwhile, DuplicateKey when a
        unique index refuses the change.
        """
        changed = record.model_copy(update={"version": record.version + 1, "updated_at": utc_now()})
        seen = {"_id": record.id, "version": record.version}
        with translated():
            result = await self._collection.replace_one(seen, to_document(changed))
        if result.matched_count == 0:
            raise VersionConflict(record.id)
        return changed

    async def find(self, match: Match) -> R | None:
        """Return the one record that matches, or None."""
        with translated():
            document = await self._collection.find_one(match)
        return None if document is None else from_document(self.kind, document)

    async def find_all(
        self,
        match: Match,
        sort: list[tuple[str, int]],
        limit: int,
        left_out: Sequence[str] = (),
    ) -> list[R]:
        """Return the records that match, at most `limit`; fields left out have their defaults."""
        fields = dict.fromkeys(left_out, False) or None
        with translated():
            documents = await self._collection.find(match, fields).sort(sort).to_list(limit)
        return [from_document(self.kind, document) for document in documents]

    async def count(self, match: Match, limit: int) -> int:
        """Return how many records match, `limit` at most."""
        with translated():
            return await self._collection.count_documents(match, limit=limit)

    async def delete(self, match: Match) -> bool:
        """Delete the one record that matches; return whether there was one."""
        with translated():
            result = await self._collection.delete_one(match)
        return bool(result.deleted_count)

    async def forget(self, account_id: str) -> None:
        """Delete all records of an account that is deleted."""
        with translated():
            await self._collection.delete_many({"account_id": account_id})
