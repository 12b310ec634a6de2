"""Broker or store away: 451 and nothing else, and 250 again when they are back."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from conduit.model.webhook import Webhook
from conduit.store.connection import Store
from conduit_local.ports import Ports
from tests.integration.ingest.conftest import (
    PUBLISH_TIMEOUT,
    NewWebhook,
    Queued,
    Settings,
    watch,
)
from tests.integration.ingest.relay import Relay
from tests.support.infrastructure import Broker
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, greeted

STORE_TIMEOUT = 0.5
AWAY = "451 4.3.0 Temporary failure, try again later"
QUEUED = "250 2.0.0 queued as "
SENDERS = 20


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


class Sender:
    """Sends mails one after the other, each until it gets its 250, as a mail server does."""

    def __init__(self, ingest: Ingest, webhook: Webhook, number: int) -> None:
        self.accepted: dict[str, bytes] = {}
        self.doubts = Counter[bytes]()
        self.waiting = False
        self._ingest = ingest
        self._webhook = webhook
        self._number = number

    async def run(self, enough: asyncio.Event, again: asyncio.Event) -> None:
        """Send until there is enough; what got a 451 is sent `again`."""
        async with greeted(self._ingest.port) as client:
            while not enough.is_set():
                content = f"mail {len(self.accepted)} of {self._number}\r\n".encode()
                while (reply := await self._send(client, content)) == AWAY:
                    self.doubts[content] += 1
                    await again.wait()
                assert reply.startswith(QUEUED)
                self.accepted[reply.removeprefix(QUEUED)] = content

    async def _send(self, client: Client, content: bytes) -> str:
        await client.begin(self._webhook.address)
        self.waiting = True
        await client.send(content + b".\r\n")
        reply = await client.reply(within=30)
        self.waiting = False
        return reply


@pytest.mark.parametrize("killed", [False, True], ids=["frozen", "killed"])
async def test_a_250_is_one_delivery_whatever_becomes_of_a_broker_that_owes_its_confirm(
    killed: bool,
    ingest: Ingest,
    settings: Settings,
    store: Store,
    new_webhook: NewWebhook,
    broker: Broker,
) -> None:
    webhook, nobodys = await new_webhook(), await new_webhook()
    senders = [Sender(ingest, webhook, number) for number in range(SENDERS)]
    enough, again = asyncio.Event(), asyncio.Event()
    sending = asyncio.gather(*(sender.run(enough, again) for sender in senders))
    try:
        await eventually(lambda: all(len(s.accepted) > 2 for s in senders), what="the flow")
        broker.freeze()
        await eventually(lambda: all(s.waiting for s in senders), what="mails without confirm")
        if killed:
            broker.kill()
        await eventually(lambda: all(s.doubts for s in senders), what="a 451 for each")
        before = [len(sender.accepted) for sender in senders]
        await asyncio.to_thread(broker.wait_ready if killed else broker.thaw)
        await asyncio.to_thread(ingest.wait_ready)
        again.set()
        await eventually(
            lambda: all(len(s.accepted) > n + 2 for s, n in zip(senders, before, strict=True)),
            within=30,
            what="the flow with the broker back",
        )
        enough.set()
        await sending
    finally:
        sending.cancel()
        await asyncio.wait([sending])

    accepted = dict(pair for sender in senders for pair in sender.accepted.items())
    doubts = sum((sender.doubts for sender in senders), Counter[bytes]())
    async with watch(settings, store, ingest.port) as queued:
        await queued.expect_none(nobodys)  # so all that lay on the queue has come
        arrived = queued.of(webhook)
    ids = Counter(event.delivery_id for event in arrived)
    assert set(ids.values()) == {1}
    assert accepted.keys() <= ids.keys()
    contents = Counter[bytes]()
    for event in arrived:
        assert event.raw is not None
        content = event.raw.rpartition(b"\r\n\r\n")[2]
        assert accepted.get(event.delivery_id, content) == content
        contents[content] += 1
    beyond = contents - Counter(accepted.values())
    assert beyond <= doubts
    print(f"{len(accepted)} accepted, {doubts.total()} in doubt, of which {beyond.total()} arrived")


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
        waiting = partial(_is_waiting, ingest)
        await eventually(waiting, within=30, what="a service that is not ready")
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
