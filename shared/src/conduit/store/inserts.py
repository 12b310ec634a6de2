"""Batches of new documents, as one command each."""

from collections.abc import Mapping, Sequence
from typing import Any

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError, DocumentTooLarge

from conduit.store.connection import Document, raise_unless_duplicates, translated


async def insert_new(
    collection: AsyncIOMotorCollection[Document], documents: Sequence[Document]
) -> set[str]:
    """Write documents in any order, passing over those that are there; return the ids of these.

    `insert_many` takes a third more for a batch, since it looks at each document by itself. What is
    larger than one command may be (16 MiB) is left to it: it makes several.
    """
    with translated():
        try:
            reply = await _commanded(collection, documents)
        except DocumentTooLarge:
            reply = await _divided(collection, documents)
    return {documents[failure["index"]]["_id"] for failure in reply["writeErrors"]}


async def _commanded(
    collection: AsyncIOMotorCollection[Document], documents: Sequence[Document]
) -> Mapping[str, Any]:
    reply = await collection.database.command(
        {
            "insert": collection.name,
            "documents": documents,
            "ordered": False,
            "writeConcern": collection.write_concern.document,
        }
    )
    concern = reply.get("writeConcernError")
    details = {
        "writeErrors": reply.get("writeErrors", []),
        "writeConcernErrors": [] if concern is None else [concern],
    }
    if concern is not None:
        raise BulkWriteError(details)
    if details["writeErrors"]:
        raise_unless_duplicates(BulkWriteError(details))
    return details


async def _divided(
    collection: AsyncIOMotorCollection[Document], documents: Sequence[Document]
) -> Mapping[str, Any]:
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        raise_unless_duplicates(error)
        return error.details
    return {"writeErrors": []}
