"""The collection of raw mails, in chunks, for those that are too large for the bus.

Not GridFS, whose chunks carry no date that a TTL index could read: see docs/decisions.
"""

from datetime import timedelta

from conduit.model.message import Message
from conduit.store.connection import Store, translated

CHUNK = 4 * 1024 * 1024
"""Octets in one document, well below MongoDB's limit of 16 MiB."""


class Messages:
    """Raw mails by the id of their receipt, each kept for `retention` after it came."""

    def __init__(self, store: Store, retention: timedelta) -> None:
        self._collection = store.collection("messages")
        self._retention = retention

    async def put(self, message: Message) -> None:
        """Keep a mail. The first chunk is written last, so that a half-written one is not found."""
        expires_at = message.received_at + self._retention
        pieces = range(0, message.size, CHUNK)
        for number, start in reversed(list(enumerate(pieces))):
            document = {
                "_id": _chunk_id(message.id, number),
                "chunks": len(pieces),
                "data": message.raw[start : start + CHUNK],
                "expires_at": expires_at,
            }
            with translated():
                await self._collection.insert_one(document)

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


def _chunk_id(message_id: str, number: int) -> str:
    return f"{message_id}:{number}"
