"""What is no good request is refused in the form of all errors, and nothing takes for ever."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from conduit_local.stack import Stack
from tests.integration.api.client import User
from tests.integration.api.conftest import BODY_TIMEOUT
from tests.integration.api.test_process import serving
from tests.support.polling import PATIENCE, eventually

HEAD = b"GET /api/v1/accounts/me HTTP/1.1\r\nHost: api\r\n"
POST = b"POST /api/v1/sessions HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
BODY = b'{"email":"a@example.com","password":"b"}'


class Wire:
    """A connection on which any bytes can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, octets: bytes) -> None:
        """Send bytes."""
        self._writer.write(octets)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of one answer."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            pairs = (line.partition(": ")[::2] for line in lines[1:-1])
            headers = {name.lower(): value for name, value in pairs}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), headers, body

    async def failure(self) -> tuple[int, str]:
        """Return status and code of an error, whose form is checked."""
        status, headers, body = await self.answer()
        assert headers["content-type"].startswith("application/json")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["server"] == "Conduit"
        assert headers["x-request-id"]
        told = json.loads(body)
        assert set(told) == {"error", "code"}
        return status, told["code"]

    async def closed(self) -> None:
        """Return when the server has closed the connection, having said nothing more."""
        async with asyncio.timeout(15):
            try:
                assert await self._reader.read() == b""
            except ConnectionResetError:
                return


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Wire]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    yield Wire(reader, writer)
    writer.close()


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    async with connected(stack.urls.api) as wire:
        yield wire


@pytest.mark.parametrize(
    "octets",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\nHost: api\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Host: another\r\n\r\n",
        HEAD + b"A: \0\r\n\r\n",
        HEAD + b"No colon\r\n\r\n",
        HEAD + b"".join(b"A%d: 1\r\n" % number for number in range(200)) + b"\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: api\r\n\r\n",
    ],
    ids=range(13),
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(
    wire: Wire, octets: bytes
) -> None:
    wire.send(octets)
    assert await wire.failure() == (400, "malformed_request")
    await wire.closed()


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: api\r\n\r\n",
        HEAD + b"A: " + b"b" * 9000 + b"\r\n\r\n",
        HEAD + b"b" * 9000 + b": 1\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        HEAD + b"A: " + b"b" * 100_000,
    ],
    ids=["url", "value", "name", "endless url", "endless value"],
)
async def test_what_is_too_long_is_refused(wire: Wire, octets: bytes) -> None:
    wire.send(octets)
    assert await wire.failure() == (431, "request_head_too_large")
    await wire.closed()


async def test_a_url_and_a_header_within_the_limit_are_read(wire: Wire) -> None:
    wire.send(b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: api\r\nA: " + b"b" * 8000 + b"\r\n\r\n")
    assert await wire.failure() == (404, "not_found")


async def test_refusals_are_logged_without_what_was_sent(wire: Wire, stack: Stack) -> None:
    wire.send(b"GET /s3cret-in-a-bad-line HTTP/9.9\r\nHost: api\r\n\r\n")
    _, headers, body = await wire.answer()

    def lines() -> list[dict[str, Any]]:
        found = map(orjson.loads, stack.log("api").read_bytes().splitlines())
        return [line for line in found if line.get("request_id") == headers["x-request-id"]]

    [line] = await eventually(lines, what="the log line")
    assert (line["event"], line["status"], line["code"]) == (
        "api.refused",
        400,
        "malformed_request",
    )
    assert b"s3cret" not in body
    assert "s3cret-in-a-bad-line" not in stack.log("api").read_text()


@pytest.mark.parametrize("path", [b"/api/v1/accounts", b"/nothing", b"/docs"])
async def test_an_unknown_expectation_fails(wire: Wire, path: bytes) -> None:
    wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: api\r\nExpect: miracles\r\n\r\n")
    assert await wire.failure() == (417, "expectation_failed")


async def test_a_client_may_wait_before_it_sends_the_body(wire: Wire) -> None:
    wire.send(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    status, _, _ = await wire.answer()
    assert status == 100
    wire.send(BODY)
    assert await wire.failure() == (401, "invalid_credentials")


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_slow_body_is_given_up(wire: Wire, framing: bytes) -> None:
    begun = time.monotonic()
    wire.send(POST + framing + b"\r\n")

    async def trickle() -> None:
        while True:
            wire.send(b"{" if b"Length" in framing else b"1\r\n \r\n")
            await asyncio.sleep(0.2)

    trickling = asyncio.create_task(trickle())
    try:
        assert await wire.failure() == (408, "request_timeout")
    finally:
        trickling.cancel()
    assert BODY_TIMEOUT <= time.monotonic() - begun < BODY_TIMEOUT + 5
    await wire.closed()


@pytest.mark.parametrize(
    ("encoding", "body"), [(b"gzip", b"this is not gzip"), (b"deflate", b"\xff" * 16)]
)
async def test_a_body_that_cannot_be_decoded_is_refused(
    wire: Wire, encoding: bytes, body: bytes
) -> None:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    wire.send(POST + b"Content-Encoding: " + encoding + b"\r\n" + length + body)
    assert await wire.failure() == (400, "malformed_body")


@pytest.mark.parametrize("body", [b"zz\r\n\r\n", b"2\r\n{}garbage\r\n0\r\n\r\n"])
async def test_a_body_in_bad_chunks_is_refused_or_given_up(wire: Wire, body: bytes) -> None:
    """aiohttp's parser tells the handler nothing of chunks that are bad, so that it waits."""
    wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert await wire.failure() in {(400, "malformed_request"), (408, "request_timeout")}
    await wire.closed()


async def test_a_compressed_body_is_read(resident: User) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    data = gzip.compress(b'{"name":"localhost"}')
    reply = await resident.client.send("POST", "/domains", data=data, headers=headers)
    assert reply.status == 422


async def test_a_compressed_body_may_not_grow_beyond_the_limit(resident: User) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    data = gzip.compress(b" " * 50_000_000)
    reply = await resident.client.send("POST", "/domains", data=data, headers=headers)
    assert reply.failure == (413, "body_too_large")


async def test_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(stack: Stack) -> None:
    def faults() -> Sequence[bytes]:
        lines = stack.log("api").read_bytes().splitlines()
        return [line for line in lines if b'"api.failed"' in line]

    def left() -> Sequence[bytes]:
        lines = stack.log("api").read_bytes().splitlines()
        return [line for line in lines if b'"req-left"' in line]

    before = len(faults())
    async with connected(stack.urls.api) as wire:
        wire.send(POST + b"X-Request-Id: req-left\r\nContent-Length: 100\r\n\r\n{")
        await asyncio.sleep(0)
    await eventually(left, what="the log line")
    assert len(faults()) == before


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "PROPFIND"])
async def test_other_methods_are_not_allowed(wire: Wire, method: str) -> None:
    wire.send(f"{method} /api/v1/accounts/me HTTP/1.1\r\nHost: api\r\n\r\n".encode())
    assert await wire.failure() == (405, "method_not_allowed")


async def test_the_api_is_no_proxy(wire: Wire) -> None:
    wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert await wire.failure() == (404, "not_found")


async def test_idle_and_slow_connections_are_closed(stack: Stack) -> None:
    async with (
        serving(stack, CONDUIT_API_KEEPALIVE_TIMEOUT="1") as url,
        connected(url) as silent,
        connected(url) as slow,
        connected(url) as idle,
    ):
        begun = time.monotonic()
        slow.send(HEAD)
        idle.send(HEAD + b"\r\n")
        assert await idle.failure() == (401, "unauthorized")
        for wire in (silent, slow, idle):
            await wire.closed()
        assert time.monotonic() - begun < 5
