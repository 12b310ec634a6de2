"""What comes before the first command: admission, the greeting's delay, several processes."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued, Settings
from tests.support.certificates import renew, shown
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, connected, greeted

PER_ADDRESS, DELAY = 2, 2.0
PROXY = "127.0.0.2"

TOO_MANY = b"421 4.7.0 Too many connections from your address, try again later\r\n"
TOO_EARLY = b"554 5.5.1 You spoke before the greeting\r\n"


@pytest.fixture(scope="module")
def reserved(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """An ingest that lets clients wait for its greeting, and takes few of each address."""
    own = {
        "CONDUIT_SMTP_CONNECTION_LIMIT_PER_IP": str(PER_ADDRESS),
        "CONDUIT_SMTP_GREETING_DELAY": str(DELAY),
        "CONDUIT_SMTP_PROXY_NETWORKS": f"{PROXY}/32",
    }
    with Ingest(tmp_path_factory.mktemp("reserved"), settings | own) as ingest:
        yield ingest


async def test_one_address_may_have_so_many_connections_and_others_theirs(
    reserved: Ingest,
) -> None:
    async with AsyncExitStack() as stack:

        async def connect(source: str) -> Client:
            return await stack.enter_async_context(connected(reserved.port, source=source))

        first, second, third, other = [await connect(f"127.0.1.{host}") for host in (1, 1, 1, 2)]
        assert await third.rest() == TOO_MANY
        for client in (first, second, other):
            assert (await client.reply()).startswith("220 ")
        await first.expect("QUIT", "221")
        assert await first.rest() == b""
        assert (await (await connect("127.0.1.1")).reply()).startswith("220 ")
        assert await (await connect("127.0.1.1")).rest() == TOO_MANY


async def test_who_speaks_before_the_greeting_is_refused_and_who_waits_is_not(
    reserved: Ingest,
) -> None:
    async with (
        connected(reserved.port, source="127.0.2.1") as early,
        connected(reserved.port, source="127.0.2.2") as silent,
        connected(reserved.port, source=PROXY) as with_header,
    ):
        started = time.monotonic()
        await early.send(b"EHLO client.example\r\n")
        await with_header.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\nEHLO client.example\r\n")
        assert await early.rest() == TOO_EARLY
        assert await with_header.rest() == TOO_EARLY
        assert await silent.reply() == "220 localhost ESMTP"
        assert time.monotonic() - started > DELAY * 0.9
        await silent.expect("EHLO client.example", "250")


async def test_a_handshake_is_not_taken_for_speech_but_a_command_after_it_is(
    reserved: Ingest,
) -> None:
    async with (
        connected(reserved.tls_port, source="127.0.3.1", tls=True) as silent,
        connected(reserved.tls_port, source="127.0.3.2", tls=True) as early,
    ):
        await early.send(b"EHLO client.example\r\n")
        assert await early.rest() == TOO_EARLY
        assert await silent.reply() == "220 localhost ESMTP"


async def test_a_taken_port_for_tls_is_told(new_ingest: Callable[..., Ingest]) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = str(taken.getsockname()[1])
        ingests = [
            new_ingest(smtp_tls_port=port, smtp_processes=processes) for processes in ("1", "2")
        ]
        for ingest in ingests:
            ingest.start()
        for ingest in ingests:
            assert await asyncio.to_thread(ingest.exit_code) == 1
            [complaint] = [line for line in ingest.said().splitlines() if "service.failed" in line]
            assert port in complaint
            assert "address already in use" in complaint


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[Ingest]:
    """Two processes, and all that an ingest can have."""
    own = {
        "CONDUIT_SMTP_PROCESSES": "2",
        "CONDUIT_SMTP_PROXY_NETWORKS": f"{PROXY}/32",
        "CONDUIT_SMTP_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "CONDUIT_SMTP_TLS_KEY": str(tmp_path / "key.pem"),
    }
    with Ingest(tmp_path, settings | own) as ingest:
        yield ingest


async def test_two_processes_share_every_port_and_follow_the_certificate(
    pair: Ingest, tmp_path: Path, webhook: Webhook, queued: Queued
) -> None:
    await eventually(
        lambda: pair.said().count("service.started") == 2, within=20, what="both processes"
    )
    header = b"PROXY TCP4 192.0.2.7 192.0.2.25 1 25\r\n"
    for _ in range(12):
        async with greeted(pair.tls_port, tls=True) as client:
            assert (await client.mail(b"x\r\n", webhook.address)).startswith("250 ")
        async with greeted(pair.port, source=PROXY, header=header) as client:
            assert (await client.mail(b"x\r\n", webhook.address)).startswith("250 ")
    envelopes = [event.envelope for event in await queued.expect(webhook, 24)]
    told = [(envelope.remote_ip, envelope.tls) for envelope in envelopes]
    assert told.count(("127.0.0.1", "TLSv1.3")) == told.count(("192.0.2.7", None)) == 12

    before = await asyncio.to_thread(shown, pair.tls_port)
    renew(tmp_path / "certificate.pem", tmp_path / "key.pem")
    await eventually(
        lambda: pair.said().count("certificate.reloaded") == 2, within=20, what="both reloads"
    )
    for _ in range(8):
        assert await asyncio.to_thread(shown, pair.tls_port) != before
