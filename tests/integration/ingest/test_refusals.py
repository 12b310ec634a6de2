"""Refusals in the delivery logs of a real store, which may go away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from conduit.model.delivery import LogEntry, Refusal
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.verdict import Reason, Reject
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.indexes import ensure_indexes
from conduit_smtp_ingest.refusals import LOST, Refusals
from conduit_smtp_ingest.replies import for_verdict
from tests.support.polling import eventually
from tests.support.store_servers import StoreServer

PER_MINUTE = 5
REPLY = for_verdict(Reject(Reason.SOURCE_NOT_ALLOWED))
ENVELOPE = Envelope("ann@example.com", ("alerts@example.org",), "mx.example.com", "192.0.2.1")


@pytest.fixture
def webhook_id() -> str:
    """A webhook of this test's own."""
    return new_id(Prefix.WEBHOOK)


@pytest.fixture
async def logs(store: Store) -> DeliveryLogs:
    """The delivery logs that the API reads."""
    await ensure_indexes(store)
    return DeliveryLogs(store, timedelta(days=30))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[StoreServer]:
    """A store that this test may end."""
    directory = tmp_path / "data"
    directory.mkdir()
    with StoreServer("embedded", directory) as server:
        yield server


@asynccontextmanager
async def running(logs: DeliveryLogs) -> AsyncIterator[Refusals]:
    """Run as a service does, which stops in the end."""
    refusals = Refusals(logs, per_minute=PER_MINUTE)
    task = asyncio.create_task(refusals.run())
    yield refusals
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(15):
        await refusals.flush()


def refuse(refusals: Refusals, webhook_id: str, envelope: Envelope = ENVELOPE) -> None:
    refusals.note(webhook_id, Reason.SOURCE_NOT_ALLOWED, REPLY, envelope)


def counted(entries: list[LogEntry]) -> int:
    return sum(1 + entry.others for entry in entries if isinstance(entry, Refusal))


async def test_a_refusal_is_in_the_log_before_its_minute_ends(
    logs: DeliveryLogs, webhook_id: str
) -> None:
    async with running(logs) as refusals:
        refuse(refusals, webhook_id)
        [entry] = await eventually(lambda: logs.page(webhook_id, 1, 10), what="the refusal")
    assert isinstance(entry, Refusal)
    assert entry.smtp_reply == "550 5.7.1 This address takes no mail from your network"
    assert (entry.sender, entry.recipients) == ("ann@example.com", ("alerts@example.org",))
    assert (entry.helo, entry.remote_ip) == ("mx.example.com", "192.0.2.1")
    assert await logs.entry(webhook_id, entry.id) == entry


async def test_of_a_flood_all_are_counted_at_the_stop(logs: DeliveryLogs, webhook_id: str) -> None:
    async with running(logs) as refusals:
        for _ in range(1000):
            refuse(refusals, webhook_id)
    entries = await logs.page(webhook_id, 1, 100)
    assert (len(entries), counted(entries)) == (PER_MINUTE + 1, 1000)


async def test_whatever_a_sender_says_can_be_written(logs: DeliveryLogs, webhook_id: str) -> None:
    hostile = "\0\udcff\ud800\u2028\x1b[2J" * 500
    async with running(logs) as refusals:
        refuse(refusals, webhook_id, Envelope(hostile, (hostile,) * 1000, hostile, "2001:db8::1"))
    [entry] = await logs.page(webhook_id, 1, 10)
    assert isinstance(entry, Refusal)
    assert entry.helo.isprintable()
    assert len(entry.model_dump_json()) < 20_000


async def test_refusals_outlive_an_absence_of_the_store(
    own_server: StoreServer, webhook_id: str
) -> None:
    settings = StoreSettings(mongodb_url=own_server.url, store_timeout=1)
    before = LOST._value.get()
    async with open_store(settings) as store:
        await ensure_indexes(store)
        logs = DeliveryLogs(store, timedelta(days=30))
        own_server.kill()
        async with running(logs) as refusals:
            for _ in range(100):
                refuse(refusals, webhook_id)
            assert not await store.available()
            own_server.start()
            entries = await eventually(lambda: logs.page(webhook_id, 1, 100), within=30)
            assert counted(entries) == PER_MINUTE
        assert counted(await logs.page(webhook_id, 1, 100)) == 100
    assert LOST._value.get() == before
