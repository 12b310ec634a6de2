"""Connections to endpoints: when one is used again, what a large call costs, and how they end."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import cast

import pytest
from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.sender import Sender, open_sender
from tests.support.authority import Authority
from tests.support.egress_proxy import EgressProxy
from tests.support.peers import peers
from tests.support.polling import eventually
from tests.support.raw_server import Converse, RawServer, header, request, reset

EGRESS = Egress(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
TAKEN = OK + EMPTY
LARGE = os.urandom(1 << 20) * 35
CLOSED = "the endpoint closed the connection without an answer"


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """A sender that may call loopback."""
    async with open_sender(EGRESS, timeout=20, connect_timeout=10, resolver=None) as sender:
        yield sender


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    """What endpoints speak TLS with, if they do."""
    return authority.server("127.0.0.1") if request.param == "https" else None


def answering(*answers: bytes, then: str = "wait") -> Converse:
    """Return what gives these answers on each connection, and then closes it, or waits."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
        if then == "wait":
            await reader.read()

    return converse


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (TAKEN, 1),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 1),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + TAKEN, 1),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + EMPTY, 1),
        (OK + b"Connection: close\r\n" + EMPTY, 2),
        (b"HTTP/1.0 200 OK\r\n" + EMPTY, 2),
        pytest.param(OK + b"Content-Length: 70000\r\n\r\n" + b"x" * 70000, 2, id="a long answer"),
        pytest.param(TAKEN + TAKEN, 2, id="two answers"),
        pytest.param(TAKEN + b"HTTP/1.1 410 Gone\r\n" + EMPTY, 2, id="another one behind it"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nokay", 2, id="longer than its length"),
    ],
)
async def test_when_a_connection_is_used_again(
    sender: Sender, tls: ssl.SSLContext | None, answer: bytes, connections: int
) -> None:
    async with RawServer(answering(answer, answer), tls=tls) as server:
        for _ in range(2):
            assert (await sender.post(server.url, b"{}", {})).result is Result.DELIVERED
        assert server.connections == connections


async def test_what_comes_after_an_answer_ends_the_connection(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    """In a packet of its own it could be taken for the answer to the next call."""
    more = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(TAKEN)
        await more.wait()
        writer.write(b"HTTP/1.1 410 Gone\r\n" + EMPTY)
        await reader.read()

    async with RawServer(converse, tls=tls) as server:
        assert (await sender.post(server.url, b"{}", {})).result is Result.DELIVERED
        more.set()
        await eventually(lambda: server.open == 0, what="the end of the connection")
        assert (await sender.post(server.url, b"{}", {})).result is Result.DELIVERED
        assert server.connections == 2


async def test_of_kept_connections_that_all_have_ended_none_is_tried_after_the_first(
    sender: Sender,
) -> None:
    """As when the endpoint was started anew: the call goes out once more, not once for each."""
    heads: list[str] = []
    together = asyncio.Barrier(5)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        if server.connections <= 5:
            await together.wait()
            writer.write(TAKEN)
            heads.append((await request(reader))[0])
        else:
            writer.write(TAKEN)
            await reader.read()

    async with RawServer(converse) as server:
        await asyncio.gather(*(sender.post(server.url, b"{}", {}) for _ in range(5)))
        answer = await sender.post(server.url, b"{}", {"webhook-id": "dlv_1"})
        assert answer.result is Result.DELIVERED
        assert [header(head, "webhook-id") for head in heads] == ["dlv_1"]
        assert server.connections == 6


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("begun", [b"", b"H"])
async def test_a_call_is_repeated_only_where_nothing_of_an_answer_came(
    sender: Sender, tls: ssl.SSLContext | None, begun: bytes, end: str
) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(TAKEN)
        await request(reader)
        writer.write(begun)
        await writer.drain()
        if end == "reset":
            reset(writer)

    async with RawServer(converse, tls=tls) as server:
        await sender.post(server.url, b"{}", {})
        answer = await sender.post(server.url, b"{}", {})
        assert (answer.error, server.connections) == ((CLOSED, 1) if begun else (None, 2))


async def test_an_answer_ends_with_its_connection(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    async with RawServer(answering(OK + b"\r\nbye", then="close"), tls=tls) as server:
        answer = await sender.post(server.url, b"{}", {})
    assert (answer.result, answer.response) == (Result.DELIVERED, "bye")


async def test_a_large_call_reaches_one_who_reads_slowly(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    bodies: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length, body = int(header(head.decode(), "Content-Length") or 0), bytearray()
            while len(body) < length:
                body += await reader.read(16384)
            bodies.append(bytes(body))
            writer.write(TAKEN)

    async with RawServer(converse, tls=tls) as server:
        for body in (LARGE, b"{}"):
            assert (await sender.post(server.url, body, {})).result is Result.DELIVERED
        assert server.connections == 1
    assert bodies == [LARGE, b"{}"]


async def test_an_answer_counts_that_comes_before_all_is_sent(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too large\r\n" + EMPTY)
        cast("asyncio.Transport", writer.transport).pause_reading()
        await asyncio.Event().wait()

    async with RawServer(converse, tls=tls) as server:
        answer = await sender.post(server.url, LARGE, {})
        assert answer.error == "the endpoint answered 413 Too large"
        server.converse = answering(TAKEN)
        assert (await sender.post(server.url, b"{}", {})).result is Result.DELIVERED
        assert server.connections == 2


async def test_a_large_call_whose_endpoint_leaves(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        reset(writer)

    async with RawServer(converse, tls=tls) as server:
        answer = await sender.post(server.url, LARGE, {})
        assert (answer.result, answer.error) == (Result.TRANSIENT, CLOSED)


async def test_a_call_that_is_cancelled_ends_its_connection(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    asked = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        asked.set()
        await reader.read()

    async with RawServer(converse, tls=tls) as server:
        call = asyncio.create_task(sender.post(server.url, b"{}", {}))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: server.open == 0, what="the end of the connection")
        server.converse = answering(TAKEN)
        assert (await sender.post(server.url, b"{}", {})).result is Result.DELIVERED


async def test_so_does_one_that_is_cancelled_while_it_is_sent(
    sender: Sender, tls: ssl.SSLContext | None
) -> None:
    asked = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await eventually(call.done, what="the end of the call")
        while await reader.read(65536):
            pass

    async with RawServer(converse, tls=tls) as server:
        call = asyncio.create_task(sender.post(server.url, LARGE, {}))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: server.open == 0, what="the end of the connection")


@pytest.mark.parametrize("endpoint_tls", [True, False], ids=["https", "http"])
@pytest.mark.parametrize("proxy_tls", [True, False], ids=["https proxy", "http proxy"])
async def test_nobody_who_does_not_read_keeps_a_tunnel(
    authority: Authority, endpoint_tls: bool, proxy_tls: bool
) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast("asyncio.Transport", writer.transport).pause_reading()
        await asyncio.Event().wait()

    async with (
        EgressProxy(tls=authority.server("127.0.0.2") if proxy_tls else None) as proxy,
        RawServer(deaf, tls=authority.server("127.0.0.1") if endpoint_tls else None) as server,
        open_sender(
            EGRESS,
            timeout=1,
            connect_timeout=10,
            resolver=None,
            proxy=Proxy.of_url(proxy.url),
        ) as sender,
    ):
        answer = await sender.post(server.url, LARGE, {})
        assert answer.error == "no answer within 1 s"
        await eventually(lambda: proxy.port not in peers(), what="the end of the connection")


async def test_what_is_kept_is_closed_with_the_sender(tls: ssl.SSLContext | None) -> None:
    async with RawServer(answering(TAKEN), tls=tls) as server:
        async with open_sender(EGRESS, timeout=20, connect_timeout=10, resolver=None) as sender:
            await sender.post(server.url, b"{}", {})
            assert server.open == 1
        await eventually(lambda: server.open == 0, what="the end of the connection")


async def test_who_does_not_speak_tls_is_left(authority: Authority) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with RawServer(converse) as server:
        url = server.url.replace("http:", "https:")
        async with open_sender(EGRESS, timeout=20, connect_timeout=0.2, resolver=None) as sender:
            assert (await sender.post(url, b"{}", {})).error == "connecting took too long"
            await eventually(lambda: server.open == 0, what="the end of the connection")


async def test_a_name_that_is_not_found_in_time_is_not_waited_for() -> None:
    class Silent(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return []

    async with open_sender(EGRESS, timeout=0.2, connect_timeout=5, resolver=Silent()) as sender:
        answer = await sender.post("https://a.example/", b"{}", {})
    assert (answer.result, answer.error) == (Result.TRANSIENT, "no answer within 0.2 s")


async def test_only_https_is_called_unless_more_is_allowed() -> None:
    async with (
        RawServer(answering(TAKEN)) as server,
        open_sender(Egress(), timeout=20, connect_timeout=5, resolver=None) as sender,
    ):
        for scheme in ("http", "HTTP", "ftp", ""):
            answer = await sender.post(f"{scheme}://127.0.0.1:{server.port}/", b"{}", {})
            assert answer.error == "only https endpoints are called"
            assert answer.result is Result.PERMANENT
        assert server.connections == 0


async def test_what_cannot_be_sent_is_not_called(sender: Sender) -> None:
    async with RawServer(answering(TAKEN)) as server:
        for url, headers in ((server.url, {"X": "a\r\nY: b"}), (server.url[:-2] + "x/", {})):
            answer = await sender.post(url, b"{}", headers)
            assert (answer.result, answer.http_status) == (Result.PERMANENT, None)
        assert server.connections == 0
