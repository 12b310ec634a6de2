"""The bounds of a session and of all sessions, on a process for which they are small."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import NewWebhook, Queued, Settings
from tests.support.polling import eventually
from tests.support.smtp import Ingest, connected, greeted

MIB = 1024 * 1024

SIZE, LINE, DATA_MEMORY, CONNECTIONS = 100_000, 1_000, 150_000, 5
IDLE, SESSION = 0.6, 2.0

COMMAND_LINE, COMMANDS, ERRORS, UNKNOWN, RECIPIENTS = 600, 12, 2, 2, 2
PATIENT_IDLE, DATA_RATE = 4.0, 5_000

TIMEOUT = b"421 4.4.2 Timeout, closing the connection\r\n"


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


@pytest.fixture(scope="module")
def terse(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """One ingest with small bounds for what is said in a session."""
    bounds = {
        "CONDUIT_SMTP_SIZE_LIMIT": str(SIZE),
        "CONDUIT_SMTP_COMMAND_LINE_LIMIT": str(COMMAND_LINE),
        "CONDUIT_SMTP_COMMAND_LIMIT": str(COMMANDS),
        "CONDUIT_SMTP_ERROR_LIMIT": str(ERRORS),
        "CONDUIT_SMTP_UNKNOWN_LIMIT": str(UNKNOWN),
        "CONDUIT_SMTP_RECIPIENT_LIMIT": str(RECIPIENTS),
        "CONDUIT_SMTP_IDLE_TIMEOUT": str(PATIENT_IDLE),
        "CONDUIT_SMTP_DATA_RATE": str(DATA_RATE),
    }
    with Ingest(tmp_path_factory.mktemp("terse"), settings | bounds) as ingest:
        yield ingest


def sessions(ingest: Ingest) -> float:
    return ingest.metric("conduit_ingest_sessions")


async def test_a_silent_session_is_ended(strict: Ingest) -> None:
    async with greeted(strict.port) as client:
        started = time.monotonic()
        assert await client.rest() == TIMEOUT
        assert IDLE * 0.9 < time.monotonic() - started < IDLE + 5


async def test_a_session_silent_before_its_first_command_is_ended(strict: Ingest) -> None:
    async with connected(strict.port) as client:
        assert (await client.rest()).endswith(b"\r\n" + TIMEOUT)


async def test_a_handshake_that_does_not_come_ends_the_session_without_a_word(
    strict: Ingest,
) -> None:
    async with connected(strict.tls_port) as silent, greeted(strict.port) as changed_its_mind:
        await changed_its_mind.expect("STARTTLS", "220")
        assert await silent.rest() == b""
        assert await changed_its_mind.rest() == b""


async def test_a_session_silent_in_data_is_ended(
    strict: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(strict.port) as client:
        await client.begin(webhook.address)
        await client.send(b"Subject: half\r\n")
        assert await client.rest() == TIMEOUT
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


async def test_a_mail_at_the_size_limit_is_taken_and_one_octet_more_is_not(
    terse: Ingest, webhook: Webhook
) -> None:
    lines = (b"x" * 98 + b"\r\n") * (SIZE // 100)
    stuffed = b"." + lines  # the dot that stands for itself does not count
    async with greeted(terse.port) as client:
        assert f"SIZE {SIZE}\n" in await client.command("EHLO client.example")
        await client.expect(f"MAIL FROM:<> SIZE={SIZE}", "250")
        await client.expect("RSET", "250")
        assert (await client.mail(lines, webhook.address)).startswith("250 ")
        assert (await client.mail(stuffed, webhook.address)).startswith("250 ")
        reply = await client.mail(b"x" + lines, webhook.address)
        assert reply == "552 5.3.4 Message too large"


async def test_a_command_at_the_limit_is_taken_and_one_octet_more_is_not(terse: Ingest) -> None:
    async with greeted(terse.port) as client:
        await client.expect("NOOP ".ljust(COMMAND_LINE - 2, "x"), "250")
        await client.expect("NOOP ".ljust(COMMAND_LINE - 1, "x"), "500 5.5.2 Command line too long")
        await client.expect("NOOP", "250")


async def test_commands_without_a_mail_end_a_session(terse: Ingest, webhook: Webhook) -> None:
    async with greeted(terse.port) as client:
        for _ in range(COMMANDS - 4 - 1):
            await client.expect("NOOP", "250")
        # With EHLO and its own commands the mail comes in time; then all are free again.
        assert (await client.mail(b"x\r\n", webhook.address)).startswith("250 ")
        for _ in range(COMMANDS - 1):
            await client.expect("RSET", "250")
        await client.expect("NOOP", "250")
        assert await client.rest() == b"421 4.7.0 Too many commands without a mail\r\n"


async def test_bad_commands_end_a_session(terse: Ingest) -> None:
    async with greeted(terse.port) as client:
        await client.expect("EXPN all", "502")
        await client.expect("NOOP", "250")
        await client.expect("XCLIENT ADDR=192.0.2.1", "502")
        assert await client.rest() == b"421 4.7.0 Too many errors\r\n"


async def test_data_that_came_with_a_refused_recipient_is_no_bad_command(
    terse: Ingest, new_webhook: NewWebhook
) -> None:
    inactive = await new_webhook(active=False)
    group = f"MAIL FROM:<>\r\nRCPT TO:<{inactive.address}>\r\nDATA\r\nRSET\r\n".encode()
    async with greeted(terse.port) as client:
        for _ in range(ERRORS):
            await client.send(group)
            for expected in ("250 2.1.0", "550 5.2.1", "503 5.5.1 Send RCPT first", "250 2.0.0"):
                assert (await client.reply()).startswith(expected)
        await client.expect("NOOP", "250")


async def test_unknown_recipients_end_a_session_over_all_its_mails(terse: Ingest) -> None:
    async with greeted(terse.port) as client:
        await client.expect("MAIL FROM:<>", "250")
        await client.expect("RCPT TO:<nobody@incoming.localhost>", "550 5.1.1")
        await client.expect("RSET", "250")
        await client.expect("MAIL FROM:<>", "250")
        await client.expect("RCPT TO:<nobody-either@incoming.localhost>", "550 5.1.1")
        assert await client.rest() == b"421 4.7.0 Too many unknown recipients\r\n"


async def test_recipients_beyond_the_limit_are_for_another_mail(
    terse: Ingest, webhook: Webhook
) -> None:
    async with greeted(terse.port) as client:
        await client.expect("MAIL FROM:<>", "250")
        for expected in (["250 2.1.5"] * RECIPIENTS) + ["452 4.5.3 Too many recipients"]:
            await client.expect(f"RCPT TO:<{webhook.address}>", expected)
        await client.expect("DATA", "354")
        await client.expect(".", "250 2.0.0 queued")


async def test_data_that_comes_slowly_is_given_up_and_data_that_takes_long_is_not(
    terse: Ingest, webhook: Webhook
) -> None:
    async with greeted(terse.port) as slow, greeted(terse.port) as steady:
        for client in (slow, steady):
            await client.begin(webhook.address)
        started = time.monotonic()
        given_up = asyncio.ensure_future(slow.reply(within=PATIENT_IDLE + 10))
        while not given_up.done():
            await slow.send(b"x\r\n")
            await steady.send(b"x" * 998 + b"\r\n")
            await asyncio.wait([given_up], timeout=0.05)
        assert f"{await given_up}\r\n".encode() == TIMEOUT
        assert time.monotonic() - started > PATIENT_IDLE * 0.9
        await steady.send(b".\r\n")
        assert (await steady.reply()).startswith("250 ")


@pytest.mark.parametrize(
    "request_line", ["GET / HTTP/1.1", "PRI * HTTP/2.0", "CONNECT a:25 HTTP/1.0"]
)
async def test_http_is_told_that_this_is_none(ingest: Ingest, request_line: str) -> None:
    async with connected(ingest.port) as client:
        assert (await client.reply()).startswith("220 ")
        await client.send(f"{request_line}\r\nHost: a\r\n\r\nMAIL FROM:<>\r\n".encode())
        assert await client.rest() == b"554 5.5.1 This is SMTP, not HTTP\r\n"


async def test_replies_to_commands_that_came_together_go_together_and_in_order(
    ingest: Ingest, new_webhook: NewWebhook, queued: Queued
) -> None:
    first, second = await new_webhook(), await new_webhook()
    group = [
        "MAIL FROM:<ann@example.com>",
        f"RCPT TO:<{first.address}>",
        "RCPT TO:<nobody@incoming.localhost>",
        "RCPT FROM:<wrong>",
        f"RCPT TO:<{second.address}>",
        "VRFY ann",
        "DATA",
    ]
    expected = ["250 2.1.0", "250 2.1.5", "550 5.1.1", "501 5.5.2", "250 2.1.5", "252 2.1.5", "354"]
    async with greeted(ingest.port) as client:
        await client.send("".join(f"{command}\r\n" for command in group).encode())
        assert told(await client.reader.read(65_536)) == expected
        await client.send(b"x\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n")
        rest = await client.rest()
    assert told(rest) == ["250-2.0.0", "250 2.0.0", "250 2.1.0", "250 2.0.0", "221 2.0.0"]
    await queued.expect_content(first, b"x\r\n")
    await queued.expect_content(second, b"x\r\n")


def told(octets: bytes) -> list[str]:
    """Return the codes of what came at once."""
    return [line[:9].decode().split(" End")[0] for line in octets.splitlines()]
