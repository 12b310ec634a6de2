"""Calls through an egress proxy: to addresses that were judged, and what becomes of them."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_network

import pytest

from conduit.dns.resolvers import host_resolver
from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import Answer
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.sender import Sender, open_sender
from tests.support.authority import Authority
from tests.support.dns import DnsServer
from tests.support.egress_proxy import EgressProxy
from tests.support.polling import eventually
from tests.support.raw_server import Converse, RawServer, header, request

NAME = "hooks.example"
# The endpoint's, and not the proxy's.
EGRESS = Egress(allow_http=True, allowed_networks=(ip_network("127.0.0.1/32"),))
CREDENTIALS = "conduit:s3cr%40t"
AUTHORIZATION = f"Basic {b64encode(b'conduit:s3cr@t').decode()}"
BODY = b'{"subject":"Hello"}'

Open = Callable[..., AbstractAsyncContextManager[Sender]]


class Endpoint(RawServer):
    """Takes each call; `heads` and `bodies` are what came."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._take, tls=tls)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await request(reader)
            self.heads.append(head)
            self.bodies.append(body)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken")


@pytest.fixture
async def endpoint(authority: Authority) -> AsyncIterator[Endpoint]:
    """An endpoint that is called hooks.example."""
    async with Endpoint(authority.server(NAME)) as endpoint:
        yield endpoint


@pytest.fixture
async def proxy() -> AsyncIterator[EgressProxy]:
    """A proxy on an address that may not be called."""
    async with EgressProxy() as proxy:
        yield proxy


@pytest.fixture
def opened(dns_server: DnsServer) -> Open:
    """Opens senders whose names are looked up at the test's DNS server."""
    dns_server.set(NAME, "A", "127.0.0.1")

    def open_(
        url: str, *, egress: Egress = EGRESS, resolves: bool = False, patience: float = 5
    ) -> AbstractAsyncContextManager[Sender]:
        return open_sender(
            egress,
            timeout=10,
            connect_timeout=patience,
            resolver=host_resolver([dns_server.address]),
            proxy=Proxy.of_url(url, resolves=resolves),
        )

    return open_


def through(proxy: EgressProxy, credentials: str = CREDENTIALS) -> str:
    """Return the proxy's URL."""
    scheme, _, address = proxy.url.partition("://")
    return f"{scheme}://{credentials}@{address}"


async def post(sender: Sender, url: str) -> Answer:
    """Make a call."""
    return await sender.post(url, BODY, {"webhook-id": "dlv_1"})


async def test_the_proxy_gets_the_address_and_the_endpoint_its_name(
    opened: Open, proxy: EgressProxy, endpoint: Endpoint
) -> None:
    async with opened(through(proxy)) as sender:
        answer = await post(sender, f"https://{NAME}:{endpoint.port}/hook?a=b")
    assert (answer.result, answer.http_status, answer.response) == (
        Result.DELIVERED,
        200,
        "taken",
    )
    [asked] = proxy.requests
    authority = f"127.0.0.1:{endpoint.port}"
    assert asked.startswith(f"CONNECT {authority} HTTP/1.1\r\n")
    assert header(asked, "Host") == authority
    assert header(asked, "Proxy-Authorization") == AUTHORIZATION
    [head] = endpoint.heads
    assert head.startswith("POST /hook?a=b HTTP/1.1\r\n")
    assert header(head, "Host") == f"{NAME}:{endpoint.port}"
    assert endpoint.bodies == [BODY]


@pytest.mark.parametrize("tls", [True, False], ids=["https proxy", "http proxy"])
@pytest.mark.parametrize("endpoint_tls", [True, False], ids=["https", "http"])
async def test_no_header_of_the_proxy_reaches_the_endpoint_nor_one_of_the_call_the_proxy(
    opened: Open, authority: Authority, tls: bool, endpoint_tls: bool
) -> None:
    async with (
        EgressProxy(tls=authority.server("127.0.0.2") if tls else None) as proxy,
        Endpoint(authority.server(NAME) if endpoint_tls else None) as endpoint,
        opened(through(proxy)) as sender,
    ):
        scheme = "https" if endpoint_tls else "http"
        answer = await post(sender, f"{scheme}://{NAME}:{endpoint.port}/")
    assert answer.error is None
    [asked], [head] = proxy.requests, endpoint.heads
    assert "proxy" not in head.lower()
    assert "webhook-id" not in asked
    assert NAME not in asked
    assert header(head, "Host") == f"{NAME}:{endpoint.port}"


async def test_one_without_credentials_is_sent_none(
    opened: Open, proxy: EgressProxy, endpoint: Endpoint
) -> None:
    async with opened(proxy.url) as sender:
        assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
    assert header(proxy.requests[0], "Proxy-Authorization") is None


async def test_connections_are_kept(opened: Open, proxy: EgressProxy, endpoint: Endpoint) -> None:
    async with opened(through(proxy)) as sender:
        for _ in range(3):
            assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
    assert len(endpoint.heads) == 3
    assert (len(proxy.requests), endpoint.connections) == (1, 1)


async def test_a_kept_connection_that_was_closed_is_replaced_at_once(
    opened: Open, proxy: EgressProxy, authority: Authority
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await request(reader))[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await request(reader)  # and no answer to it

    heads: list[str] = []
    async with (
        RawServer(once, tls=authority.server(NAME)) as endpoint,
        opened(through(proxy)) as sender,
    ):
        for _ in range(2):
            assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
    assert [header(head, "webhook-id") for head in heads] == ["dlv_1", "dlv_1"]
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[::ffff:10.0.0.1]",
        "127.0.0.2",
        "127.1",
        "0x7f.1",
        "private.example",
        "alias.example",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_private_networks_are_not_asked_for(
    opened: Open, proxy: EgressProxy, dns_server: DnsServer, host: str, scheme: str
) -> None:
    dns_server.set("private.example", "A", "10.0.0.1", "192.168.1.1")
    dns_server.set("private.example", "AAAA", "fd00::1")
    dns_server.set("alias.example", "CNAME", "private.example.")
    async with opened(through(proxy)) as sender:
        answer = await post(sender, f"{scheme}://{host}/")
    assert answer.http_status is None
    assert "may not be called" in str(answer.error) or "not valid" in str(answer.error)
    assert proxy.connections == 0


async def test_of_several_addresses_only_those_that_may_be_called_are_asked_for(
    opened: Open, proxy: EgressProxy, dns_server: DnsServer, endpoint: Endpoint
) -> None:
    dns_server.set(NAME, "A", "10.0.0.1", "127.0.0.1", "192.168.0.1")
    dns_server.set(NAME, "AAAA", "fd00:ec2::254")
    async with opened(through(proxy)) as sender:
        assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
    assert proxy.authorities == [f"127.0.0.1:{endpoint.port}"]


async def test_the_next_address_is_tried_when_the_proxy_cannot_reach_one(
    opened: Open, proxy: EgressProxy, dns_server: DnsServer, endpoint: Endpoint
) -> None:
    dns_server.set(NAME, "A", "127.0.0.1", "8.8.8.8")
    proxy.unreachable = {"8.8.8.8"}
    async with opened(through(proxy)) as sender:
        for _ in range(2):  # whichever comes first
            assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
            endpoint.close_connections()
            dns_server.set(NAME, "A", "8.8.8.8", "127.0.0.1")
    assert f"127.0.0.1:{endpoint.port}" in proxy.authorities


async def test_the_certificate_is_checked_for_the_name_though_the_proxy_got_an_address(
    opened: Open, proxy: EgressProxy, authority: Authority
) -> None:
    async with (
        Endpoint(authority.server("other.example", "127.0.0.1")) as endpoint,
        opened(through(proxy)) as sender,
    ):
        answer = await post(sender, f"https://{NAME}:{endpoint.port}/")
        assert answer.error == "TLS failed: CERTIFICATE_VERIFY_FAILED"
        assert (await post(sender, f"https://127.0.0.1:{endpoint.port}/")).error is None
    assert len(endpoint.heads) == 1


def saying(answer: bytes, *, then: str = "close") -> Converse:
    """Return a proxy that gives this answer to a CONNECT, and then closes, or waits."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if then == "wait":
            await reader.read()

    return say


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a letter at a time, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with headers, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


NOT_HTTP = "the egress proxy's answer is not valid HTTP"
CLOSED = "the egress proxy closed the connection"


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        pytest.param(
            saying(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\n\r\n<html>"),
            "the egress proxy does not accept Conduit's credentials (407)",
            id="407",
        ),
        pytest.param(
            saying(b"HTTP/1.0 401 Unauthorized\r\n\r\n"),
            "the egress proxy does not accept Conduit's credentials (401)",
            id="401",
        ),
        pytest.param(
            saying(b"HTTP/1.0 403 squid-7.intranet\r\nContent-Length: 9\r\n\r\nforbidden"),
            "the egress proxy does not allow this call (403)",
            id="403",
        ),
        pytest.param(
            saying(b"HTTP/1.1 503 \r\n\r\n"),
            "the egress proxy could not connect to the endpoint (503)",
            id="503",
        ),
        pytest.param(
            saying(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n"),
            "the egress proxy could not connect to the endpoint (302)",
            id="302",
        ),
        pytest.param(
            saying(b"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 403 No\r\n\r\n"),
            "the egress proxy does not allow this call (403)",
            id="103 and then 403",
        ),
        pytest.param(saying(b""), CLOSED, id="closes"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nX: y"), CLOSED, id="closes in its answer"),
        pytest.param(saying(b"SSH-2.0-x\r\n", then="wait"), NOT_HTTP, id="another protocol"),
        pytest.param(saying(b"HTTP/1.1 OK\r\n\r\n", then="wait"), NOT_HTTP, id="no status"),
        pytest.param(saying(b"HTTP/1.1 999 OK\r\n\r\n", then="wait"), NOT_HTTP, id="status 999"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\nhello", then="wait"), NOT_HTTP, id="a body"),
        pytest.param(flood, NOT_HTTP, id="endless headers"),
        pytest.param(saying(b"HTTP/1.1 100 Go\r\n\r\n" * 1000, then="wait"), NOT_HTTP, id="1xx"),
    ],
)
async def test_what_the_proxy_does_is_told_and_transient(
    opened: Open, proxy: EgressProxy, endpoint: Endpoint, instead: Converse, error: str
) -> None:
    proxy.instead = instead
    async with opened(through(proxy)) as sender:
        answer = await post(sender, f"https://{NAME}:{endpoint.port}/")
    assert (answer.result, answer.http_status, answer.error) == (Result.TRANSIENT, None, error)
    assert (proxy.connections, endpoint.connections) == (1, 0)


@pytest.mark.parametrize("instead", [saying(b"", then="wait"), drip], ids=["hangs", "drips"])
async def test_a_slow_proxy_is_not_waited_for(
    opened: Open, proxy: EgressProxy, endpoint: Endpoint, instead: Converse
) -> None:
    proxy.instead = instead
    async with opened(through(proxy), patience=0.3) as sender:
        answer = await post(sender, f"https://{NAME}:{endpoint.port}/")
    assert answer.result is Result.TRANSIENT
    assert answer.error == "the egress proxy made no connection within 0.3 s"
    assert answer.duration_ms < 5000


async def test_one_that_is_down_or_unknown_is_told_without_its_address(
    opened: Open, dns_server: DnsServer
) -> None:
    async with EgressProxy() as gone:
        url = through(gone)
    for proxy_url, error in (
        (url, "the egress proxy cannot be reached"),
        ("http://u:s3cr%40t@proxy.invalid:3128", "the egress proxy's name cannot be resolved"),
    ):
        async with opened(proxy_url) as sender:
            answer = await post(sender, f"https://{NAME}/")
        assert (answer.result, answer.error) == (Result.TRANSIENT, error)


async def test_its_own_certificate_is_checked(
    opened: Open, authority: Authority, endpoint: Endpoint
) -> None:
    async with (
        EgressProxy(tls=authority.server("other.example")) as proxy,
        opened(through(proxy)) as sender,
    ):
        answer = await post(sender, f"https://{NAME}:{endpoint.port}/")
        assert proxy.requests == []
    assert answer.error == (
        "the egress proxy cannot be reached over TLS: CERTIFICATE_VERIFY_FAILED"
    )


async def test_an_endpoint_that_closes_inside_the_tunnel_is_told_as_ever(
    opened: Open, proxy: EgressProxy
) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with RawServer(leave) as endpoint, opened(through(proxy)) as sender:
        answer = await post(sender, f"http://{NAME}:{endpoint.port}/")
    assert answer.error == "the endpoint closed the connection without an answer"


async def test_no_connection_is_left_behind(
    opened: Open, proxy: EgressProxy, endpoint: Endpoint
) -> None:
    proxy.instead = saying(b"", then="wait")
    async with opened(through(proxy), patience=0.1) as sender:
        await post(sender, f"https://{NAME}:{endpoint.port}/")
        proxy.instead = None
        await post(sender, "https://other.example/")
    await eventually(lambda: proxy.open == 0, what="the end of the connections")


async def test_a_proxy_that_resolves_gets_the_name(
    opened: Open, proxy: EgressProxy, dns_server: DnsServer, endpoint: Endpoint
) -> None:
    proxy.hosts = {"unknown.here": "127.0.0.1", NAME: "127.0.0.1"}
    async with opened(through(proxy), resolves=True) as sender:
        assert (await post(sender, f"https://{NAME}:{endpoint.port}/")).error is None
    assert proxy.authorities == [f"{NAME}:{endpoint.port}"]
    assert dns_server.questions == []


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "[::ffff:10.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "a.localhost.",
        "127.0.0.1.",
        "a%0d%0ab.example",
        "ex!ample",
    ],
)
async def test_a_proxy_that_resolves_gets_no_address_that_may_not_be_called(
    opened: Open, proxy: EgressProxy, host: str
) -> None:
    async with opened(through(proxy), egress=Egress(), resolves=True) as sender:
        answer = await post(sender, f"https://{host}/")
    assert answer.http_status is None
    assert answer.error
    assert proxy.connections == 0
