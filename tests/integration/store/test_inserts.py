"""Batches of inserts on every server: by one command, or by several where they are too large."""

from typing import Any

import pytest

from conduit.errors import StoreUnavailable
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.inserts import insert_new
from conduit_local.ports import Ports

SMALL, LARGE = b"x", bytes(3 * 1024 * 1024)
"""Of six large ones, no command takes all."""


def documents(start: int, data: bytes) -> list[dict[str, Any]]:
    return [{"_id": f"{number}", "data": data} for number in range(start, start + 6)]


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_is_there_is_passed_over_and_told(store: Store, data: bytes) -> None:
    collection = store.collection("messages")
    assert await insert_new(collection, documents(0, data)) == set()
    changed = [each | {"data": b"other"} for each in documents(0, data)]
    assert await insert_new(collection, [*changed[3:], *documents(6, data)]) == {"3", "4", "5"}
    found = await collection.find({}).sort([("_id", 1)]).to_list(None)
    expected = sorted(documents(0, data) + documents(6, data), key=lambda each: each["_id"])
    assert found == expected


async def test_an_absent_server_is_told() -> None:
    url = f"mongodb://127.0.0.1:{Ports.free().store}"
    settings = StoreSettings(mongodb_url=url, store_timeout=0.5)
    async with open_store(settings) as store:
        with pytest.raises(StoreUnavailable):
            await insert_new(store.collection("messages"), documents(0, SMALL))
