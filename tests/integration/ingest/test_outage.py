"""Broker or store away: 451 and nothing else, and 250 again when they are back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from conduit.model.webhook import Webhook
from conduit_local.ports import Ports
from tests.integration.ingest.conftest import (
    PUBLISH_TIMEOUT,
    Queued,
    Settings,
)
from tests.integration.ingest.relay import Relay
from tests.support.infrastructure import Broker
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

STORE_TIMEOUT = 0.5
AWAY = "451 4.3.0 Temporary failure, try again later"


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
    assert before.raw is not None
    assert before.raw.endswith(b"\r\n" + b"before\r\n")


async def _is_taken(ingest: Ingest, webhook: Webhook) -> bool:
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"again\r\n", webhook.address)
    assert reply == AWAY or reply.startswith("250 2.0.0 queued")
    return reply != AWAY


@pytest.fixture
async def way(settings: Settings) -> AsyncIterator[Relay]:
    """The way to the store, which a test may block."""
    relay = Relay(settings["CONDUIT_MONGODB_URL"])
    await relay.unblock()
    yield relay
    await relay.block()


async def test_without_a_store_recipients_and_large_mails_are_deferred(
    way: Relay, new_ingest: Callable[..., Ingest], webhook: Webhook
) -> None:
    ingest = new_ingest(
        mongodb_url=way.url, store_timeout=str(STORE_TIMEOUT), smtp_webhook_cache="0.05"
    )
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    rcpt = f"RCPT TO:<{webhook.address}>"
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        await way.block()
        await client.send((b"x" * 60_000 + b"\r\n") * 5 + b".\r\n")
        assert await client.reply() == AWAY
        await client.expect("MAIL FROM:<>", "250")
        started = time.monotonic()
        assert await client.command(rcpt) == AWAY
        assert time.monotonic() - started < STORE_TIMEOUT + 1
        assert await client.command("RCPT TO:<unknown@incoming.localhost>") == AWAY
        status, checks = await asyncio.to_thread(ingest.get, "/readyz")
        assert (status, '"store":false' in checks) == (503, True)
        await way.unblock()

        async def is_taken() -> bool:
            return await client.command(rcpt) == "250 2.1.5 OK"

        await eventually(is_taken, what="a 250 with the store back")
        await client.expect("DATA", "354")
        await client.send(b"again\r\n.\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued")


async def test_a_service_whose_neighbour_is_away_waits_and_can_be_stopped(
    new_ingest: Callable[..., Ingest],
) -> None:
    nobody = f"127.0.0.1:{Ports.free().amqp}/"
    without = [
        new_ingest(amqp_url=f"amqp://{nobody}"),
        new_ingest(mongodb_url=f"mongodb://{nobody}"),
    ]
    for ingest in without:
        ingest.start()
    for ingest in without:
        await eventually(partial(_is_waiting, ingest), what="a service that is not ready")
        ingest.signal(signal.SIGTERM)
    for ingest in without:
        assert await asyncio.to_thread(ingest.exit_code) == 0
        assert "Traceback" not in ingest.said()


def _is_waiting(ingest: Ingest) -> bool:
    try:
        status, checks = ingest.get("/readyz")
    except OSError:
        return False
    assert status == 503
    return '"started":false' in checks
