"""Clients that take their time, in every state in which a session waits for its client.

Each sends an octet now and then, which is no reason to wait for longer, or nothing at all.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.bystander import bystander
from tests.integration.ingest.conftest import NewWebhook, Settings
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, connected, greeted

IDLE, SESSION = 1.0, 4.0
LOST = b"(lost)"
TIMED_OUT = b"421 4.4.2 Timeout, closing the connection\r\n"
PROXY = "127.0.0.2"
ATTACKERS = 20
_PAUSE = 0.1

Opening = Callable[[Ingest, Webhook], AsyncIterator[Client]]


@pytest.fixture(scope="session")
def impatient(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """An ingest with little time for anybody."""
    own = {
        "CONDUIT_SMTP_DATA_RATE": "1000",
        "CONDUIT_SMTP_IDLE_TIMEOUT": str(IDLE),
        "CONDUIT_SMTP_PROXY_NETWORKS": f"{PROXY}/32",
        "CONDUIT_SMTP_SESSION_TIMEOUT": str(SESSION),
    }
    with Ingest(tmp_path_factory.mktemp("impatient"), settings | own) as ingest:
        yield ingest


async def before_the_first_command(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with connected(ingest.port) as client:
        await client.reply()
        yield client


async def in_a_command(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.port) as client:
        await client.send(b"MAIL FROM:<")
        yield client


async def within_a_mail(ingest: Ingest, webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<>", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        yield client


async def in_auth(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.port) as client:
        await client.start_tls()
        await client.expect("EHLO a", "250")
        await client.expect("AUTH LOGIN", "334")
        yield client


async def in_data(ingest: Ingest, webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        yield client


async def in_data_inside_tls(ingest: Ingest, webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.tls_port, tls=True) as client:
        await client.begin(webhook.address)
        yield client


async def in_starttls(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with greeted(ingest.port) as client:
        await client.expect("STARTTLS", "220")
        await client.send(HANDSHAKE)
        yield client


async def in_the_first_handshake(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with connected(ingest.tls_port) as client:
        await client.send(HANDSHAKE)
        yield client


async def in_the_proxy_header(ingest: Ingest, _webhook: Webhook) -> AsyncIterator[Client]:
    async with connected(ingest.port, source=PROXY) as client:
        await client.send(b"PROXY TCP4 ")
        yield client


HANDSHAKE = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"  # a ClientHello of 512 octets begins

STATES: list[tuple[Opening, bytes]] = [
    (before_the_first_command, TIMED_OUT),
    (in_a_command, TIMED_OUT),
    (within_a_mail, TIMED_OUT),
    (in_auth, TIMED_OUT),
    (in_data, TIMED_OUT),
    (in_data_inside_tls, TIMED_OUT),
    (in_the_proxy_header, TIMED_OUT),
    # Whoever waits for a handshake could not read it.
    (in_starttls, b""),
    (in_the_first_handshake, b""),
]


@pytest.mark.parametrize("trickling", [False, True], ids=["silent", "an octet now and then"])
@pytest.mark.parametrize(("state", "promised"), STATES, ids=[state.__name__ for state, _ in STATES])
async def test_slowness_is_bounded(
    state: Opening,
    promised: bytes,
    trickling: bool,
    impatient: Ingest,
    webhook: Webhook,
    new_webhook: NewWebhook,
) -> None:
    other = await new_webhook()
    async with AsyncExitStack() as stack:
        with bystander(impatient, other.address):
            opened = asynccontextmanager(state)
            clients = [
                await stack.enter_async_context(opened(impatient, webhook))
                for _ in range(ATTACKERS)
            ]
            ends = await asyncio.gather(*(end(client, trickling) for client in clients))
    assert set(ends) - {LOST} == {promised}


async def test_a_client_that_talks_for_ever(impatient: Ingest, new_webhook: NewWebhook) -> None:
    other = await new_webhook()
    with bystander(impatient, other.address):
        async with greeted(impatient.port) as client:
            reply = await eventually(partial(_other_than_ok, client), what="an end")
    assert reply == TIMED_OUT.decode().strip()


async def _other_than_ok(client: Client) -> str | None:
    reply = await client.command("NOOP")
    return None if reply == "250 2.0.0 OK" else reply


@pytest.mark.parametrize("tls", [False, True], ids=["in the clear", "inside TLS"])
async def test_clients_that_do_not_read_their_replies(
    tls: bool, impatient: Ingest, new_webhook: NewWebhook
) -> None:
    other = await new_webhook()
    port = impatient.tls_port if tls else impatient.port
    async with AsyncExitStack() as stack:
        with bystander(impatient, other.address):
            for _ in range(ATTACKERS):
                client = await stack.enter_async_context(greeted(port, tls=tls))
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                client.writer.write(b"EHLO a\r\n" * 100_000)
        await eventually(
            lambda: impatient.metric("conduit_ingest_sessions") == 0, within=20, what="their end"
        )


async def end(client: Client, trickling: bool) -> bytes:
    """Return what is said in the end, while an octet is sent now and then.

    One that is sent when the server has just closed has the system reset the connection, and what
    was said is LOST if it was not read by then.
    """
    rest = asyncio.ensure_future(client.rest(20))
    while trickling and not rest.done():
        client.writer.write(b"x")
        await asyncio.wait([rest], timeout=_PAUSE)
    try:
        return await rest
    except ConnectionResetError:
        if not trickling:
            raise
        return LOST
