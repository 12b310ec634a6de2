"""Broker or store away: 451 and nothing else, and 250 again when they are back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from conduit.model.webhook import Webhook
from conduit.settings import StoreSettings
from conduit.store.connection import open_store
from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.integration.ingest.conftest import (
    PUBLISH_TIMEOUT,
    STORE_TIMEOUT,
    Queued,
    Settings,
    insert_webhook,
)
from tests.support.infrastructure import Broker
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

AWAY = "451 4.3.0 Temporary failure, try again later"
DATABASE = "outage"


async def test_a_frozen_broker_is_a_451_within_the_publish_timeout(
    ingest: Ingest, webhook: Webhook, broker: Broker
) -> None:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        broker.freeze()
        started = time.monotonic()
        await client.send(b"doubtful\r\n.\r\n")
        assert await client.reply() == AWAY
        assert PUBLISH_TIMEOUT * 0.9 < time.monotonic() - started < PUBLISH_TIMEOUT + 1
        broker.thaw()
        await eventually(lambda: _is_taken(ingest, webhook), what="a 250 after the thaw")
        assert await client.command("NOOP") == "250 2.0.0 OK"


async def test_a_killed_broker_is_a_451_until_it_is_back(
    ingest: Ingest, webhook: Webhook, broker: Broker, queued: Queued
) -> None:
    async with greeted(ingest.port) as client:
        assert (await client.mail(b"before\r\n", webhook.address)).startswith("250 ")
        [before] = await queued.expect(webhook)
        await client.begin(webhook.address)
        broker.kill()
        await eventually(lambda: ingest.get("/readyz")[0] == 503, what="the lost connection")
        await client.send(b"meanwhile\r\n.\r\n")
        assert await client.reply() == AWAY
        broker.wait_ready()
        await eventually(
            lambda: _is_taken(ingest, webhook), within=20, what="a 250 with the broker back"
        )
        assert await client.command("NOOP") == "250 2.0.0 OK"
    ingest.wait_ready()
    assert before.raw == b"before\r\n"


async def _is_taken(ingest: Ingest, webhook: Webhook) -> bool:
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"again\r\n", webhook.address)
    assert reply == AWAY or reply.startswith("250 2.0.0 queued")
    return reply != AWAY


@pytest.fixture
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A store that nobody else needs."""
    with Stack.isolated(tmp_path_factory.mktemp("store"), ["store"]) as stack:
        yield stack


@pytest.fixture
def fragile(own_store: Stack, new_ingest: Callable[..., Ingest]) -> Ingest:
    """An ingest on that store."""
    ingest = new_ingest(
        mongodb_url=own_store.urls.mongodb, mongodb_database=DATABASE, smtp_webhook_cache="0.05"
    )
    ingest.start()
    ingest.wait_ready()
    return ingest


@pytest.fixture
async def its_webhook(own_store: Stack) -> AsyncIterator[Webhook]:
    """A webhook in that store."""
    url = own_store.urls.mongodb
    async with open_store(StoreSettings(mongodb_url=url, mongodb_database=DATABASE)) as store:
        yield await insert_webhook(store)


async def test_without_a_store_recipients_and_large_mails_are_deferred(
    own_store: Stack, fragile: Ingest, its_webhook: Webhook
) -> None:
    rcpt = f"RCPT TO:<{its_webhook.address}>"
    async with greeted(fragile.port) as client:
        await client.begin(its_webhook.address)
        own_store.stop_program("store")
        await client.send(b"x" * 60_000 + b"\r\n" + b"y" * 60_000 + b"\r\n")
        await client.send((b"z" * 60_000 + b"\r\n") * 4 + b".\r\n")
        assert await client.reply() == AWAY
        await client.expect("MAIL FROM:<>", "250")
        started = time.monotonic()
        assert await client.command(rcpt) == AWAY
        assert time.monotonic() - started < STORE_TIMEOUT + 1
        assert await client.command("RCPT TO:<unknown@incoming.localhost>") == AWAY
        status, checks = fragile.get("/readyz")
        assert (status, '"store":false' in checks) == (503, True)
        own_store.start_program("store")

        async def is_taken() -> bool:
            return await client.command(rcpt) == "250 2.1.5 OK"

        await eventually(is_taken, what="a 250 with the store back")
        await client.expect("DATA", "354")
        await client.send(b"again\r\n.\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued")


@pytest.mark.parametrize("away", ["amqp_url", "mongodb_url"])
async def test_a_service_whose_neighbour_is_away_waits_and_can_be_stopped(
    new_ingest: Callable[..., Ingest], settings: Settings, away: str
) -> None:
    scheme = settings[f"CONDUIT_{away.upper()}"].partition(":")[0]
    ingest = new_ingest(**{away: f"{scheme}://127.0.0.1:{Ports.free().amqp}/"})
    ingest.start()
    await eventually(lambda: _is_waiting(ingest), what="a service that is not ready")
    ingest.signal(signal.SIGTERM)
    assert await asyncio.to_thread(ingest.exit_code) == 0
    assert "Traceback" not in ingest.said()


def _is_waiting(ingest: Ingest) -> bool:
    try:
        status, checks = ingest.get("/readyz")
    except OSError:
        return False
    assert status == 503
    return '"started":false' in checks
