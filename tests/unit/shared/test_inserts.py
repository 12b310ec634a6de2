"""What a server says of a batch of inserts, where no server at hand says it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError
from pymongo.write_concern import WriteConcern

from conduit.errors import StoreUnavailable
from conduit.store.inserts import insert_new

DUPLICATE = {"index": 1, "code": 11000, "errmsg": "duplicate"}
LATE = {"code": 64, "errmsg": "waiting for replication timed out", "errInfo": {"wtimeout": True}}
REFUSED = {"code": 79, "errmsg": "no such write concern"}


async def outcome(**said: Any) -> set[str]:
    """Return what comes of two inserts of which the server says this."""
    asked: list[dict[str, Any]] = []

    async def command(document: dict[str, Any]) -> dict[str, Any]:
        asked.append(document)
        return {"ok": 1, "n": 2, **said}

    collection = SimpleNamespace(
        name="messages",
        write_concern=WriteConcern(w="majority", j=True),
        database=SimpleNamespace(command=command),
    )
    documents = [{"_id": "a"}, {"_id": "b"}]
    there = await insert_new(cast(AsyncIOMotorCollection[dict[str, Any]], collection), documents)
    assert asked == [
        {
            "insert": "messages",
            "documents": documents,
            "ordered": False,
            "writeConcern": {"w": "majority", "j": True},
        }
    ]
    return there


async def test_inserts_are_durable_and_duplicates_are_told() -> None:
    assert await outcome() == set()
    assert await outcome(writeErrors=[DUPLICATE]) == {"b"}


@pytest.mark.parametrize("errors", [[], [DUPLICATE]])
async def test_what_is_not_replicated_in_time_is_not_taken_for_written(
    errors: list[dict[str, Any]],
) -> None:
    with pytest.raises(StoreUnavailable):
        await outcome(writeErrors=errors, writeConcernError=LATE)


@pytest.mark.parametrize(
    "said",
    [
        {"writeConcernError": REFUSED},
        {"writeErrors": [{"index": 0, "code": 121, "errmsg": "not valid"}]},
        {"writeErrors": [DUPLICATE, {"index": 0, "code": 121, "errmsg": "not valid"}]},
    ],
)
async def test_a_mistake_of_ours_stays_one(said: dict[str, Any]) -> None:
    with pytest.raises(BulkWriteError):
        await outcome(**said)
