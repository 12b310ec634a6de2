"""A server that is away, frozen or killed: told fast, waited for, and nothing acknowledged lost."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.webhook import Webhook
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.indexes import ensure_indexes
from conduit.store.webhooks import Webhooks
from conduit_local.ports import Ports
from tests.integration.store.conftest import webhook
from tests.support.polling import PATIENCE, eventually
from tests.support.store_servers import StoreServer, at_hand

TIMEOUT = 0.5
SOON = 5.0
"""Seconds: some timeouts, and what it takes where others compute; pymongo's own would be 30."""


@pytest.fixture(params=at_hand())
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreServer]:
    """A server of this test's own."""
    directory = tmp_path / "data"
    directory.mkdir()
    with StoreServer(request.param, directory) as server:
        yield server


def settings_of(url: str) -> StoreSettings:
    return StoreSettings(
        mongodb_url=url, mongodb_database=f"test_{uuid4().hex}", store_timeout=TIMEOUT
    )


async def test_an_absent_server_is_told_within_the_timeout() -> None:
    async with open_store(settings_of(f"mongodb://127.0.0.1:{Ports.free().store}")) as store:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await Webhooks(store).of_id("wh_1")
        assert not await store.available()
        assert time.monotonic() - started < SOON


async def test_a_server_that_answers_is_available(store: Store) -> None:
    assert await store.available()


async def test_a_frozen_server_is_told_within_the_timeout(own_server: StoreServer) -> None:
    async with open_store(settings_of(own_server.url)) as store:
        webhooks, kept = Webhooks(store), webhook()
        await webhooks.insert(kept)
        own_server.freeze()
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await webhooks.replace(kept)
        assert time.monotonic() - started < SOON
        assert not await store.available()
        own_server.thaw()
        await eventually(store.available, what="the server after the thaw")


async def test_a_kill_loses_nothing_that_was_acknowledged(own_server: StoreServer) -> None:
    async with open_store(settings_of(own_server.url)) as store:
        await ensure_indexes(store)
        webhooks = Webhooks(store)
        acknowledged: list[Webhook] = []

        async def write() -> None:
            while True:
                each = webhook()
                await webhooks.insert(each)
                acknowledged.append(await webhooks.replace(each))

        writers = [asyncio.create_task(write()) for _ in range(4)]
        await eventually(lambda: len(acknowledged) >= 100, what="a hundred writes")
        own_server.kill()
        results = await asyncio.gather(*writers, return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert not await store.available()
        own_server.start()
        await eventually(store.available, what="the server after the kill")
        for each in acknowledged:
            assert await webhooks.of_id(each.id) == each


async def test_indexes_wait_for_a_server_that_is_away(own_server: StoreServer) -> None:
    own_server.kill()
    async with open_store(settings_of(own_server.url)) as store:
        waiting = asyncio.create_task(ensure_indexes(store))
        await asyncio.wait([waiting], timeout=0.6)
        assert not waiting.done()
        own_server.start()
        await asyncio.wait_for(waiting, PATIENCE)
        assert "address_1" in await store.collection("webhooks").index_information()
