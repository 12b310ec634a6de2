"""Endpoints that mean harm, or are broken: each call ends in time, with one entry that says how."""

import asyncio
import gzip
import re
import socket
import ssl
import warnings
import zlib
from base64 import encodebytes
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest

from conduit.model.delivery import Attempt, Result
from conduit_local.stack import Stack
from tests.integration.dispatcher.conftest import other_dispatcher
from tests.support.authority import Authority
from tests.support.mailroom import MAIL, Mailroom
from tests.support.peers import peers
from tests.support.polling import eventually
from tests.support.raw_server import Converse, RawServer, header, request, reset

DEADLINE = 1.0
SETTINGS = {
    "CONDUIT_WEBHOOK_TIMEOUT": f"{DEADLINE:g}",
    "CONDUIT_WEBHOOK_CONNECT_TIMEOUT": "0.5",
    "CONDUIT_RETRY_DELAYS": ",",  # none
}
TOO_LATE = "no answer within 1 s"
CLOSED = "the endpoint closed the connection without an answer"
BROKE_OFF = "the endpoint's answer broke off"
MIB = 1024 * 1024
GROWTH = 24 * MIB
DELIVERED, TRANSIENT, PERMANENT = Result.DELIVERED, Result.TRANSIENT, Result.PERMANENT


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the dispatcher believes."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", autouse=True)
def dispatcher(
    dispatcher_stack: Stack, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A dispatcher with little patience that tries once."""
    settings = SETTINGS | {"SSL_CERT_FILE": str(authority.file)}
    with other_dispatcher(dispatcher_stack, tmp_path_factory.mktemp("hostile"), settings) as other:
        yield other


async def outcome(mailroom: Mailroom, server: RawServer, raw: bytes = MAIL) -> Attempt:
    """Return the one entry of a call to this server, which ended in time."""
    webhook = await mailroom.webhook(server.url)
    await mailroom.accept(webhook, raw)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.duration_ms < (DEADLINE + 2) * 1000
    return attempt


def answering(answer: bytes, *, then: str = "close") -> Converse:
    """Return what reads a request, gives this answer, and closes, waits, …"""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        if then == "wait":
            await reader.read()
        if then == "half-close":
            writer.write_eof()
            await reader.read()
        if then == "reset":
            await writer.drain()
            reset(writer)

    return converse


def endless(begin: bytes, chunk: bytes, *, pause: float = 0) -> Converse:
    """Return what reads a request and then sends without an end."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(begin)
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return converse


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


def invalid(why: str) -> str:
    """Return what is said of an answer that is not valid HTTP."""
    return f"the endpoint's answer is not valid HTTP: {why}"


def begun(why: str) -> str:
    """Return what is said of a 200 whose body did not come."""
    return f"the endpoint answered 200, but its answer did not end: {why}"


@pytest.mark.parametrize(
    ("answer", "then", "error"),
    [
        pytest.param(b"", "close", CLOSED, id="nothing"),
        pytest.param(b"", "reset", CLOSED, id="reset"),
        pytest.param(b"", "half-close", CLOSED, id="half-closed"),
        pytest.param(b"HTT", "close", CLOSED, id="closes in the status line"),
        pytest.param(OK + b"X: ", "close", CLOSED, id="closes in the headers"),
        pytest.param(OK + b"X: ", "reset", CLOSED, id="reset in the headers"),
        pytest.param(b"<html>hello</html>", "close", invalid("Bad status line"), id="HTTP/0.9"),
        pytest.param(b"SSH-2.0-x\r\n", "wait", invalid("Bad status line"), id="SSH"),
        pytest.param(b"HTTP/1.1 99 OK\r\n\r\n", "wait", invalid("Bad status line"), id="99"),
        pytest.param(b"HTTP/1.1 -200 OK\r\n\r\n", "wait", invalid("Bad status line"), id="-200"),
        pytest.param(
            b"HTTP/1.1 200 " + b"x" * 1_000_000 + b"\r\n\r\n",
            "wait",
            invalid("its head takes more than 32 KiB"),
            id="a huge status line",
        ),
        pytest.param(
            OK + b"X-Y: z\r\n" * 10_000 + b"\r\n",
            "wait",
            invalid("Too many headers received"),
            id="many headers",
        ),
        pytest.param(
            OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
            "wait",
            invalid("its head takes more than 32 KiB"),
            id="a long header",
        ),
        pytest.param(
            OK + b"Content-Length: -1\r\n\r\n",
            "wait",
            invalid("Invalid character in Content-Length"),
            id="a negative length",
        ),
        pytest.param(
            OK + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
            "wait",
            invalid("Duplicate Content-Length"),
            id="two lengths",
        ),
        pytest.param(
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "wait",
            invalid("Transfer-Encoding can't be present with Content-Length"),
            id="a length and chunks",
        ),
        pytest.param(
            CHUNKED + b"zz\r\n", "wait", invalid("Invalid character in chunk size"), id="chunk zz"
        ),
        pytest.param(
            CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
            "wait",
            invalid("Invalid character in chunk size"),
            id="a negative chunk",
        ),
        pytest.param(
            CHUNKED + b"f" * 17 + b"\r\nhello",
            "wait",
            invalid("Chunk size overflow"),
            id="a chunk of 2^68",
        ),
        pytest.param(b"HTTP/1.1 100 Go\r\n\r\n", "wait", TOO_LATE, id="100 and nothing more"),
        pytest.param(
            b"HTTP/1.1 103 Hint\r\n\r\n" * 101 + OK + EMPTY,
            "wait",
            "the endpoint sent too many interim answers (1xx)",
            id="103 too often",
        ),
    ],
)
async def test_what_is_no_answer(mailroom: Mailroom, answer: bytes, then: str, error: str) -> None:
    async with RawServer(answering(answer, then=then)) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status, attempt.error) == (TRANSIENT, None, error)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "then", "error"),
    [
        pytest.param(b"Content-Length: 9\r\n\r\nhello", "close", BROKE_OFF, id="too short"),
        pytest.param(b"Content-Length: 9\r\n\r\nhello", "reset", BROKE_OFF, id="reset"),
        pytest.param(b"Content-Length: 9\r\n\r\nhello", "wait", TOO_LATE, id="never ends"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "close", BROKE_OFF, id="in a chunk"
        ),
        pytest.param(
            b"X-Conduit-SMTP-Code: 250\r\nContent-Length: 9\r\n\r\nhello",
            "close",
            BROKE_OFF,
            id="with a word for the sender",
        ),
    ],
)
async def test_a_200_whose_body_does_not_come_is_asked_again(
    mailroom: Mailroom, answer: bytes, then: str, error: str
) -> None:
    async with RawServer(answering(OK + answer, then=then)) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status) == (TRANSIENT, 200)
    assert attempt.error == begun(error)


@pytest.mark.parametrize("then", ["close", "wait"])
async def test_another_status_stands_without_its_body(mailroom: Mailroom, then: str) -> None:
    answer = b"HTTP/1.1 404 Gone fishing\r\nContent-Length: 9\r\n\r\nhello"
    async with RawServer(answering(answer, then=then)) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status) == (PERMANENT, 404)
    assert attempt.error == "the endpoint answered 404 Gone fishing"


@pytest.mark.parametrize(
    ("answer", "then", "response"),
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nbye", "close", "bye", id="HTTP/1.0"),
        pytest.param(OK + b"\r\nbye", "close", "bye", id="until it closes"),
        pytest.param(b"HTTP/1.1 100 Go\r\n\r\n" * 100 + OK + EMPTY, "wait", None, id="100s"),
        pytest.param(b"HTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" + OK + EMPTY, "wait", None, id="103"),
        pytest.param(OK + b"Set-Cookie: a=b\r\n" + EMPTY, "wait", None, id="a cookie"),
        pytest.param(CHUNKED + b"1;x=y\r\na\r\n0\r\n\r\n", "wait", "a", id="chunk extensions"),
        pytest.param(
            OK + b"Content-Length: 2\r\n\r\nhello", "wait", "he", id="longer than its length"
        ),
        pytest.param(b"HTTP/1.1 200 \xff\xfe\r\n" + EMPTY, "wait", None, id="a reason of octets"),
        pytest.param(
            OK + b"Content-Length: 5\r\n\r\n\xff\x00\xc3\xa9!",
            "wait",
            "\ufffd\ufffdé!",
            id="octets",
        ),
    ],
)
async def test_what_is_odd_and_valid_is_delivered(
    mailroom: Mailroom, answer: bytes, then: str, response: str | None
) -> None:
    async with RawServer(answering(answer, then=then)) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status, attempt.error) == (DELIVERED, 200, None)
    assert attempt.response == response


@pytest.mark.parametrize(
    ("answer", "result", "error"),
    [
        pytest.param(
            b"302 Found\r\nLocation: http://169.254.169.254/latest/",
            PERMANENT,
            "302 Found, a redirect to http://169.254.169.254/latest/, which is not followed",
            id="to metadata",
        ),
        pytest.param(
            b"307 T\r\nLocation: https://[fd00:ec2::254]/",
            PERMANENT,
            "307 T, a redirect to https://[fd00:ec2::254]/, which is not followed",
            id="to metadata of IPv6",
        ),
        pytest.param(
            b"308 P\r\nLocation: \xff\xfe/\x7f",
            PERMANENT,
            "308 P, a redirect to \ufffd\ufffd/\ufffd, which is not followed",
            id="to octets",
        ),
        pytest.param(
            b"301 M", PERMANENT, "301 M, a redirect to nowhere, which is not followed", id="nowhere"
        ),
        pytest.param(b"500 \xff\xfe", TRANSIENT, "500 \ufffd\ufffd", id="a reason of octets"),
        pytest.param(b"400 caf\xc3\xa9", PERMANENT, "400 café", id="a reason in UTF-8"),
        pytest.param(b"400 " + b"x" * 8000, PERMANENT, "400 " + "x" * 500, id="a long reason"),
        pytest.param(b"999 OK", TRANSIENT, "999 OK", id="999"),
        pytest.param(b"101 S\r\nUpgrade: x\r\nConnection: upgrade", PERMANENT, "101 S", id="101"),
        *(
            pytest.param(
                b"503 S\r\nRetry-After: " + value, TRANSIENT, "503 S", id=f"after {value!r}"
            )
            for value in (
                b"-1",
                b"9" * 4000,
                b"Fri, 31 Dec 9999 23:59:59 GMT",
                b"Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
                b"\xff",
            )
        ),
    ],
)
async def test_a_refusal_is_told(
    mailroom: Mailroom, answer: bytes, result: Result, error: str
) -> None:
    async with RawServer(answering(b"HTTP/1.1 " + answer + b"\r\n" + EMPTY, then="wait")) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status) == (result, int(error[:3]))
    assert attempt.error == f"the endpoint answered {error}"


@pytest.mark.parametrize(
    ("converse", "status", "error"),
    [
        pytest.param(
            endless(OK, b"X-Y: z\r\n"), None, invalid("Too many headers received"), id="headers"
        ),
        pytest.param(
            endless(OK + b"X: ", b"y" * 1000),
            None,
            invalid("its head takes more than 32 KiB"),
            id="one header",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 ", b"y" * 1000),
            None,
            invalid("its head takes more than 32 KiB"),
            id="status line",
        ),
        pytest.param(
            endless(b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 100),
            None,
            "the endpoint sent too many interim answers (1xx)",
            id="1xx",
        ),
        pytest.param(
            endless(CHUNKED + b"1", b";x=" + b"y" * 1000),
            200,
            begun(TOO_LATE),
            id="a chunk extension",
        ),
        pytest.param(endless(OK, b"X: y\r\n", pause=0.1), None, TOO_LATE, id="slow headers"),
        pytest.param(endless(OK + b"\r\n", b"y", pause=0.1), 200, begun(TOO_LATE), id="slow body"),
    ],
)
async def test_what_does_not_end_is_ended(
    mailroom: Mailroom, dispatcher: Stack, converse: Converse, status: int | None, error: str
) -> None:
    with bounded_memory(dispatcher):
        async with RawServer(converse) as server:
            attempt = await outcome(mailroom, server)
            await eventually(lambda: server.open == 0, what="the end of the connection")
    assert (attempt.result, attempt.http_status, attempt.error) == (TRANSIENT, status, error)


@pytest.mark.parametrize(
    "converse",
    [
        pytest.param(endless(OK + b"\r\n", b"y" * 65536), id="until it closes"),
        pytest.param(
            endless(OK + b"Content-Length: 9999999999999\r\n\r\n", b"y" * 65536), id="10 TB"
        ),
        pytest.param(endless(CHUNKED, b"10000\r\n" + b"y" * 65536 + b"\r\n"), id="chunks"),
        pytest.param(endless(CHUNKED, b"1\r\ny\r\n" * 1000), id="the smallest chunks"),
    ],
)
async def test_of_an_endless_body_the_head_is_read(
    mailroom: Mailroom, dispatcher: Stack, converse: Converse
) -> None:
    with bounded_memory(dispatcher):
        async with RawServer(converse) as server:
            attempt = await outcome(mailroom, server)
            await eventually(lambda: server.open == 0, what="the end of the connection")
    assert (attempt.result, attempt.http_status, attempt.error) == (DELIVERED, 200, None)
    assert attempt.response == "y" * 2048


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_bomb_stays_packed(mailroom: Mailroom, dispatcher: Stack, encoding: str) -> None:
    pack = gzip.compress if "gzip" in encoding else zlib.compress
    packed = pack(bytes(50 * MIB), 1)
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n"
    with bounded_memory(dispatcher):
        async with RawServer(answering(OK + head.encode() + packed, then="wait")) as server:
            attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status) == (DELIVERED, 200)
    assert attempt.response == packed[:2048].decode(errors="replace").replace("\0", "\ufffd")


async def test_a_cookie_is_not_sent_back(mailroom: Mailroom) -> None:
    heads = []

    async def baker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await request(reader))[0])
            writer.write(OK + b"Set-Cookie: a=b; Path=/\r\n" + EMPTY)

    async with RawServer(baker) as server:
        webhook = await mailroom.webhook(server.url)
        for count in (1, 2):
            await mailroom.accept(webhook)
            await mailroom.attempts(webhook, count)
    assert [header(head, "Cookie") for head in heads] == [None, None]


async def test_nobody_who_does_not_read_keeps_the_connection(mailroom: Mailroom) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast("asyncio.Transport", writer.transport).pause_reading()
        await asyncio.Event().wait()

    head = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    large = head + encodebytes(bytes(9 * MIB))  # more than the system takes over
    async with RawServer(deaf) as server:
        webhook = await mailroom.webhook(server.url)
        await mailroom.accept(webhook, large, stored=True)
        await eventually(lambda: server.port in peers(), what="the connection")
        [attempt] = await mailroom.attempts(webhook, 1)
        await eventually(lambda: server.port not in peers(), what="its end")
    assert (attempt.result, attempt.http_status) == (TRANSIENT, None)
    assert attempt.error == TOO_LATE


async def test_an_endpoint_that_accepts_no_connection_is_not_waited_for(mailroom: Mailroom) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(8):  # the system answers no more of them
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        webhook = await mailroom.webhook(f"http://127.0.0.1:{full.getsockname()[1]}/")
        await mailroom.accept(webhook)
        [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.result, attempt.error) == (TRANSIENT, "connecting took too long")


@pytest.mark.parametrize("good", [True, False])
async def test_a_kept_connection_that_is_stale_is_replaced_once(
    mailroom: Mailroom, good: bool
) -> None:
    ids: list[str | None] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ids.append(header((await request(reader))[0], "webhook-id"))
        if good or len(ids) == 1:
            writer.write(OK + EMPTY)
            ids.append(header((await request(reader))[0], "webhook-id"))

    async with RawServer(once) as server:
        webhook = await mailroom.webhook(server.url)
        await mailroom.accept(webhook)
        await mailroom.attempts(webhook, 1)
        second = await mailroom.accept(webhook)
        _, attempt = await mailroom.attempts(webhook, 2)
    assert ids[1:] == [second.delivery_id, second.delivery_id]
    assert server.connections == 2
    assert (attempt.result, attempt.error) == ((DELIVERED, None) if good else (TRANSIENT, CLOSED))


async def test_a_call_whose_answer_began_is_not_repeated(mailroom: Mailroom) -> None:
    ids: list[str | None] = []

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ids.append(header((await request(reader))[0], "webhook-id"))
        writer.write(OK + EMPTY)
        ids.append(header((await request(reader))[0], "webhook-id"))
        writer.write(OK + b"Content-Length: 9\r\n\r\n")
        await writer.drain()
        reset(writer)

    async with RawServer(leave) as server:
        webhook = await mailroom.webhook(server.url)
        await mailroom.accept(webhook)
        await mailroom.attempts(webhook, 1)
        await mailroom.accept(webhook)
        _, attempt = await mailroom.attempts(webhook, 2)
    assert len(ids) == 2
    assert (attempt.http_status, attempt.error) == (200, begun(BROKE_OFF))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("right", None),
        ("expired", "TLS failed: CERTIFICATE_VERIFY_FAILED"),
        ("of another name", "TLS failed: CERTIFICATE_VERIFY_FAILED"),
        ("of another authority", "TLS failed: CERTIFICATE_VERIFY_FAILED"),
        ("TLS 1.1", "cannot connect to"),
    ],
)
async def test_certificates(
    mailroom: Mailroom, authority: Authority, tmp_path: Path, kind: str, error: str | None
) -> None:
    address = "127.0.0.1"
    context = {
        "right": lambda: authority.server(address),
        "expired": lambda: authority.server(address, expired=True),
        "of another name": lambda: authority.server("hooks.example", "127.0.0.2"),
        "of another authority": lambda: Authority(tmp_path).server(address),
        "TLS 1.1": lambda: old(authority.server(address)),
    }[kind]()
    async with RawServer(answering(OK + EMPTY), tls=context) as server:
        attempt = await outcome(mailroom, server)
    assert (attempt.result, attempt.http_status) == (
        (TRANSIENT, None) if error else (DELIVERED, 200)
    )
    assert str(attempt.error).startswith(str(error))


@pytest.mark.parametrize(
    ("hello", "then", "error"),
    [
        (b"HTTP/1.1 400 Bad\r\n\r\n", "wait", "TLS failed: WRONG_VERSION_NUMBER"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "wait", "TLS failed: SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (b"\x16\x03\x03\xff\xff", "wait", "TLS failed: PACKET_LENGTH_TOO_LONG"),
        (b"", "close", "cannot connect to 127.0.0.1:{port}: the connection was closed"),
        (b"", "reset", "cannot connect to 127.0.0.1:{port}: Connection reset by peer"),
        (b"", "wait", "connecting took too long"),
    ],
)
async def test_what_is_not_tls(mailroom: Mailroom, hello: bytes, then: str, error: str) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(hello)
        if then == "wait":
            await reader.read()
        if then == "reset":
            reset(writer)

    async with RawServer(converse) as server:
        webhook = await mailroom.webhook(server.url.replace("http:", "https:"))
        await mailroom.accept(webhook)
        [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.result, attempt.http_status) == (TRANSIENT, None)
    assert attempt.error == error.format(port=server.port)


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a server speak TLS 1.1 at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@contextmanager
def bounded_memory(stack: Stack) -> Iterator[None]:
    """Fail when the dispatcher takes much more memory inside than it had before."""
    process = Path(f"/proc/{stack.pid('dispatcher')}")
    (process / "clear_refs").write_text("5")  # the peak is what it has now (proc(5))
    before = _status(process, "VmRSS")
    yield
    assert _status(process, "VmHWM") - before < GROWTH


def _status(process: Path, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024
