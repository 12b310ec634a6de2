"""The connection to MongoDB, and its errors told in our own terms.

motor is used here, in `records` and in the modules of the collections, and nowhere else, so that
a change to its successor `pymongo.AsyncMongoClient` stays small.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.write_concern import WriteConcern

from conduit.errors import DuplicateKey, StoreUnavailable
from conduit.settings import StoreSettings

_SELECTION = 1_000  # milliseconds until an absent server is told as such
_DUPLICATE_KEY = 11000  # MongoDB's error code

Document = dict[str, Any]
Match = Mapping[str, Any]


@contextmanager
def translated() -> Iterator[None]:
    """Raise motor's errors as DuplicateKey or StoreUnavailable; a mistake of ours stays itself."""
    try:
        yield
    except DuplicateKeyError as error:
        raise DuplicateKey(_index_of(error)) from error
    except PyMongoError as error:
        if error.timeout or isinstance(error, ConnectionFailure):
            raise StoreUnavailable(type(error).__name__) from error
        raise


def _index_of(error: DuplicateKeyError) -> str:
    """Name the fields whose uniqueness was violated, as `address`."""
    return ",".join((error.details or {}).get("keyPattern", {}))


def raise_unless_duplicates(error: BulkWriteError) -> None:
    """Pass over documents of an unordered batch that are there already; raise what else failed."""
    failures = (error.details or {}).get("writeErrors", [])
    if not failures or any(failure["code"] != _DUPLICATE_KEY for failure in failures):
        raise error


class Store:
    """The database. Writes are acknowledged by a majority and journaled."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database

    def collection(self, name: str) -> AsyncIOMotorCollection[Document]:
        """Return a collection, for the modules of this package."""
        return self._database[name]

    async def available(self) -> bool:
        """Whether the server answers."""
        try:
            await self._database.command("ping")
        except PyMongoError:
            return False
        return True


@asynccontextmanager
async def open_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """Open the store. Connecting happens in the background, so an absent server is no error yet."""
    timeout = int(settings.store_timeout * 1000)
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        settings.mongodb_url,
        tz_aware=True,
        # Not `timeoutMS`, which lets an operation look for an absent server all of its time.
        serverSelectionTimeoutMS=min(_SELECTION, timeout),
        connectTimeoutMS=min(_SELECTION, timeout),
        socketTimeoutMS=timeout,
        waitQueueTimeoutMS=timeout,
        appname="conduit",
    )
    database = client.get_database(
        settings.mongodb_database, write_concern=WriteConcern(w="majority", j=True)
    )
    try:
        yield Store(database)
    finally:
        client.close()
