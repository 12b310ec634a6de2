"""The collection of raw mails, in chunks: what is too large for the bus, and what may be replayed.

Not GridFS, whose chunks carry no date that a TTL index could read: see docs/decisions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from conduit.errors import DuplicateKey
from conduit.model.message import Message
from conduit.store.connection import Document, Store, translated
from conduit.store.inserts import insert_new

CHUNK = 4 * 1024 * 1024
"""Octets in one document, well below MongoDB's limit of 16 MiB."""

UNDER_WAY = timedelta(days=3)
"""How long a mail that travels by reference is kept at least beyond the moment at which it is
needed: so long may it wait for a dispatcher."""


class Messages:
    """Raw mails by the id of their receipt, each kept for `retention` after it came."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("messages")
        self._retention = retention

    async def put(self, message: Message) -> None:
        """Keep a mail that will travel by reference, whatever the retention."""
        expires_at = message.received_at + max(self._retention, UNDER_WAY)
        for document in _documents(message, expires_at):
            with translated():
                await self._collection.insert_one(document)

    async def keep(self, messages: Sequence[Message]) -> None:
        """Keep mails for replay, unless the retention is 0; one that is there is passed over."""
        documents = [
            document
            for message in messages
            for document in _documents(message, message.received_at + self._retention)
        ]
        if documents and self._retention:
            await insert_new(self._collection, documents)

    async def get(self, message_id: str) -> bytes | None:
        """Return a mail, or None when it is not kept any more."""
        data = bytearray()
        number, chunks = 0, 1
        while number < chunks:
            with translated():
                document = await self._collection.find_one({"_id": _chunk_id(message_id, number)})
            if document is None:
                return None
            chunks = document["chunks"]
            data += document["data"]
            number += 1
        return bytes(data)

    async def kept(self, message_ids: Collection[str]) -> dict[str, int]:
        """Return which of these mails are kept, and in how many chunks each."""
        first = {_chunk_id(message_id, 0): message_id for message_id in message_ids}
        cursor = self._collection.find({"_id": {"$in": list(first)}}, {"chunks": True})
        with translated():
            documents = await cursor.to_list(len(first))
        return {first[document["_id"]]: document["chunks"] for document in documents}

    async def hold(self, message_ids: Collection[str], until: datetime) -> set[str]:
        """Keep mails that are needed by reference at this moment; return those that are kept.

        They stay for a while beyond `until`, see UNDER_WAY.
        """
        return await self.extend(message_ids, until + UNDER_WAY)

    async def extend(self, message_ids: Collection[str], until: datetime) -> set[str]:
        """Keep mails that are there up to this moment at least; return those that are kept.

        Only a date is written, in place of whole documents with all of their octets.
        """
        kept = await self.kept(message_ids)
        with translated():
            await self._collection.update_many(
                {"_id": {"$in": _chunk_ids(kept)}, "expires_at": {"$lt": until}},
                {"$set": {"expires_at": until}},
            )
        return set(kept)

    async def put_until(self, message: Message, until: datetime) -> None:
        """Keep a mail that is needed up to this moment, whatever the retention.

        One that is kept already is held.
        """
        for document in _documents(message, until + UNDER_WAY):
            try:
                with translated():
                    await self._collection.insert_one(document)
            except DuplicateKey:
                continue
        await self.hold([message.id], until)

    async def forget(self, message_ids: Collection[str]) -> None:
        """Delete mails before their time."""
        kept = await self.kept(message_ids)
        with translated():
            await self._collection.delete_many({"_id": {"$in": _chunk_ids(kept)}})


def _documents(message: Message, expires_at: datetime) -> Iterator[Document]:
    """Yield a mail's chunks, the first one last, so that a half-written mail is not found."""
    pieces = range(0, max(message.size, 1), CHUNK)
    for number, start in reversed(list(enumerate(pieces))):
        yield {
            "_id": _chunk_id(message.id, number),
            "chunks": len(pieces),
            "data": message.raw[start : start + CHUNK],
            "expires_at": expires_at,
        }


def _chunk_ids(kept: Mapping[str, int]) -> list[str]:
    return [_chunk_id(name, number) for name, count in kept.items() for number in range(count)]


def _chunk_id(message_id: str, number: int) -> str:
    return f"{message_id}:{number}"
