"""Indexes on every server: made at each start, by several services at once."""

import asyncio

from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.indexes import INDEXES, ensure_indexes


async def test_all_declared_indexes_are_there(store: Store) -> None:
    for name, models in INDEXES.items():
        found = await store.collection(name).index_information()
        assert {model.document["name"] for model in models} <= set(found), name


async def test_an_entry_s_own_date_decides_when_it_expires(store: Store) -> None:
    found = await store.collection("delivery_logs").index_information()
    assert found["expires_at_1"]["expireAfterSeconds"] == 0


async def test_making_them_again_changes_nothing(store: Store) -> None:
    async def present() -> dict[str, object]:
        return {name: await store.collection(name).index_information() for name in INDEXES}

    before = await present()
    await ensure_indexes(store)
    assert await present() == before


async def test_services_that_start_at_once_make_them_together(settings: StoreSettings) -> None:
    async def start() -> None:
        async with open_store(settings) as store:
            await ensure_indexes(store)

    await asyncio.gather(*(start() for _ in range(4)))
    async with open_store(settings) as store:
        found = await store.collection("domains").index_information()
    assert found["one_verified_owner"]["unique"]
    assert found["one_verified_owner"]["partialFilterExpression"] == {"verified": True}
