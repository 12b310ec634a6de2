"""The bounds of a session and of all sessions, on a process for which they are small."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued, Settings
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, connected, greeted

MIB = 1024 * 1024
MEMORY = 300 * MIB

SIZE, LINE, DATA_MEMORY, CONNECTIONS = 100_000, 1_000, 150_000, 5
IDLE, SESSION = 0.6, 2.0


@pytest.fixture(scope="session")
def strict_ingest(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """One ingest with small bounds."""
    bounds = {
        "CONDUIT_SMTP_SIZE_LIMIT": str(SIZE),
        "CONDUIT_SMTP_LINE_LIMIT": str(LINE),
        "CONDUIT_SMTP_DATA_MEMORY": str(DATA_MEMORY),
        "CONDUIT_SMTP_CONNECTION_LIMIT": str(CONNECTIONS),
        "CONDUIT_SMTP_COMMAND_LIMIT": "1000000",
        "CONDUIT_SMTP_IDLE_TIMEOUT": str(IDLE),
        "CONDUIT_SMTP_SESSION_TIMEOUT": str(SESSION),
    }
    with Ingest(tmp_path_factory.mktemp("strict"), settings | bounds) as ingest:
        yield ingest


@pytest.fixture
async def strict(strict_ingest: Ingest) -> Ingest:
    """The ingest with small bounds, nobody connected to it."""
    await eventually(lambda: sessions(strict_ingest) == 0, what="an ingest without sessions")
    return strict_ingest


def sessions(ingest: Ingest) -> float:
    return ingest.metric("conduit_ingest_sessions")


async def test_a_silent_session_is_ended(strict: Ingest) -> None:
    async with greeted(strict.port) as client:
        started = time.monotonic()
        assert await client.rest() == b"421 4.4.2 Timeout, closing the connection\r\n"
        assert IDLE * 0.9 < time.monotonic() - started < IDLE + 5


async def test_a_session_silent_before_its_first_command_is_ended(strict: Ingest) -> None:
    async with connected(strict.port) as client:
        assert (await client.rest()).endswith(b"\r\n421 4.4.2 Timeout, closing the connection\r\n")


async def test_a_session_silent_in_data_is_ended(
    strict: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(strict.port) as client:
        await client.begin(webhook.address)
        await client.send(b"Subject: half\r\n")
        assert await client.rest() == b"421 4.4.2 Timeout, closing the connection\r\n"
    await queued.expect_none(webhook)


async def test_a_session_that_takes_too_long_is_ended_though_it_is_busy(
    strict: Ingest, webhook: Webhook
) -> None:
    async with greeted(strict.port) as asking, greeted(strict.port) as sending:
        started = time.monotonic()
        await sending.begin(webhook.address)
        trickle = asyncio.ensure_future(sending.reply())
        while (reply := await asking.command("NOOP")) == "250 2.0.0 OK":
            if not trickle.done():
                await sending.send(b"x\r\n")
            await asyncio.wait([trickle], timeout=0.05)
            assert time.monotonic() - started < SESSION + 2
        assert reply == await trickle == "421 4.4.2 Timeout, closing the connection"
        assert time.monotonic() - started > SESSION * 0.9


async def test_one_connection_too_many_is_told_so(strict: Ingest) -> None:
    async with (
        connected(strict.port) as first,
        connected(strict.port) as second,
        connected(strict.port) as third,
        connected(strict.port) as fourth,
        connected(strict.port) as fifth,
        connected(strict.port) as sixth,
    ):
        for client in (first, second, third, fourth, fifth):
            assert await client.reply() == "220 localhost ESMTP"
        assert await sixth.rest() == b"421 4.3.2 Too many connections, try again later\r\n"
        await first.expect("QUIT", "221")
        assert await first.rest() == b""
        await eventually(lambda: sessions(strict) == CONNECTIONS - 1, what="a free place")
        async with connected(strict.port) as seventh:
            assert await seventh.reply() == "220 localhost ESMTP"


async def test_a_line_at_the_limit_is_taken_and_one_octet_more_is_not(
    strict: Ingest, webhook: Webhook
) -> None:
    line = b"x" * (LINE - 2) + b"\r\n"
    async with greeted(strict.port) as client:
        assert (await client.mail(line * 3, webhook.address)).startswith("250 ")
        reply = await client.mail(line + b"x" + line, webhook.address)
        assert reply == "554 5.6.0 A line of the message is too long"


async def test_want_of_memory_is_told_and_passes(strict: Ingest, webhook: Webhook) -> None:
    lines = b"x" * 98 + b"\r\n"
    async with greeted(strict.port) as first, greeted(strict.port) as second:
        await first.begin(webhook.address)
        await first.send(lines * 900)

        async def refused() -> bool:
            reply = await second.mail(lines * 900, webhook.address)
            return reply == "452 4.3.1 Too much mail at the moment, try again later"

        await eventually(refused, what="want of memory")
        await first.send(b".\r\n")
        assert (await first.reply()).startswith("250 ")
        assert (await second.mail(lines * 900, webhook.address)).startswith("250 ")


async def test_refusals_are_counted_by_reason(strict: Ingest, webhook: Webhook) -> None:
    sample = 'conduit_ingest_refused_total{reason="too_large"}'
    before = strict.metric(sample)
    async with greeted(strict.port) as client:
        await client.expect(f"MAIL FROM:<> SIZE={SIZE + 1}", "552 5.3.4")
        content = (b"x" * 98 + b"\r\n") * (SIZE // 100) + b"\r\n"
        assert await client.mail(content, webhook.address) == "552 5.3.4 Message too large"
    assert strict.metric(sample) == before + 2


async def test_a_command_line_without_end_is_not_read_for_ever(strict: Ingest) -> None:
    async with greeted(strict.port) as client:
        with pytest.raises(ConnectionError):
            await _flood(client, (b"x" * 65_536 for _ in range(1_000)))
        assert strict.peak_memory() < MEMORY


def no_line_end() -> Iterator[bytes]:
    """300 MB."""
    yield from (b"x" * MIB for _ in range(300))
    yield b"\r\n.\r\n"


def empty_lines() -> Iterator[bytes]:
    """30 MB."""
    yield from (b"\r\n" * (MIB // 2) for _ in range(30))
    yield b".\r\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(no_line_end, "554 5.6.0 A line of the message is too long", id="no line end"),
        pytest.param(empty_lines, "552 5.3.4 Message too large", id="empty lines"),
    ],
)
async def test_a_flood_costs_neither_memory_nor_the_others_time(
    ingest: Ingest,
    webhook: Webhook,
    content: Callable[[], Iterator[bytes]],
    expected: str,
) -> None:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        flood = asyncio.create_task(_flood(client, content()))
        slowest = 0.0
        while not flood.done():
            slowest = max(slowest, await _seconds_to_a_greeting(ingest))
        assert await flood == expected
        assert await client.command("NOOP") == "250 2.0.0 OK"
    assert slowest < 1
    assert ingest.peak_memory() < MEMORY
    print(f"greeted within {slowest:.3f} s, peak {ingest.peak_memory() / MIB:.0f} MiB")


async def _flood(client: Client, content: Iterator[bytes]) -> str:
    for octets in content:
        await client.send(octets)
    return await client.reply()


async def _seconds_to_a_greeting(ingest: Ingest) -> float:
    started = time.monotonic()
    async with greeted(ingest.port):
        return time.monotonic() - started
