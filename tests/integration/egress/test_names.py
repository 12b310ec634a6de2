"""Names and where they lead: each address is judged where it is dialled, whatever DNS says when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_network

import pytest

from conduit.dns.resolvers import host_resolver
from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import Answer
from conduit_dispatcher.sender import Sender, open_sender
from tests.support.dns import DnsServer
from tests.support.raw_server import RawServer, request

PUBLIC, PRIVATE = "127.0.0.1", "127.0.0.2"
"""As the guard of these tests has it."""

EGRESS = Egress(allow_http=True, allowed_networks=(ip_network(f"{PUBLIC}/32"),))
NAME = "hooks.example"


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take calls."""
    while True:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
async def endpoint() -> AsyncIterator[RawServer]:
    """An endpoint on the public address."""
    async with RawServer(take, host=PUBLIC) as endpoint:
        yield endpoint


@pytest.fixture
async def private(endpoint: RawServer) -> AsyncIterator[RawServer]:
    """What is on the private address, at the same port."""
    async with RawServer(take, host=PRIVATE, port=endpoint.port) as private:
        yield private


def sender(
    dns_server: DnsServer | None, egress: Egress = EGRESS
) -> AbstractAsyncContextManager[Sender]:
    """Open a sender that asks this DNS server, or the system."""
    resolver = host_resolver([dns_server.address] if dns_server else [])
    return open_sender(egress, timeout=10, connect_timeout=5, resolver=resolver)


async def called(
    dns_server: DnsServer | None, host: str, port: int, egress: Egress = EGRESS
) -> Answer:
    """Call once, with nothing remembered of earlier calls."""
    async with sender(dns_server, egress) as opened:
        return await opened.post(f"http://{host}:{port}/", b"{}", {})


async def test_what_was_looked_up_is_what_is_dialled(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer
) -> None:
    dns_server.set(NAME, "A", PUBLIC, ttl=0)
    dns_server.then(NAME, "A", PRIVATE, ttl=0)
    assert (await called(dns_server, NAME, endpoint.port)).result is Result.DELIVERED
    assert [kind for _, kind, _ in dns_server.questions].count("A") == 1
    answer = await called(dns_server, NAME, endpoint.port)
    assert answer.error == f"{PRIVATE} is on a network that may not be called"
    assert (endpoint.connections, private.connections) == (1, 0)


async def test_a_private_address_that_turns_public_was_private_when_it_was_judged(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer
) -> None:
    dns_server.set(NAME, "A", PRIVATE, ttl=0)
    dns_server.then(NAME, "A", PUBLIC, ttl=0)
    assert (await called(dns_server, NAME, endpoint.port)).result is Result.TRANSIENT
    assert (endpoint.connections, private.connections) == (0, 0)
    assert (await called(dns_server, NAME, endpoint.port)).result is Result.DELIVERED


@pytest.mark.parametrize("records", [(PUBLIC, PRIVATE), (PRIVATE, PUBLIC)])
async def test_of_two_addresses_the_private_one_is_never_reached(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer, records: tuple[str, str]
) -> None:
    dns_server.set(NAME, "A", *records)
    for _ in range(3):
        assert (await called(dns_server, NAME, endpoint.port)).result is Result.DELIVERED
    assert (endpoint.connections, private.connections) == (3, 0)


async def test_nor_when_the_public_one_does_not_answer(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer
) -> None:
    dns_server.set(NAME, "A", PUBLIC, PRIVATE)
    await endpoint.__aexit__()
    answer = await called(dns_server, NAME, endpoint.port)
    assert (answer.result, answer.http_status) == (Result.TRANSIENT, None)
    assert private.connections == 0


async def test_an_alias_of_a_private_name_is_private(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer
) -> None:
    dns_server.set(NAME, "CNAME", "other.example.")
    dns_server.set("other.example", "CNAME", "inside.example.")
    dns_server.set("inside.example", "A", PRIVATE)
    answer = await called(dns_server, NAME, endpoint.port)
    assert answer.error == f"{PRIVATE} is on a network that may not be called"
    assert private.connections == 0


@pytest.mark.parametrize("address", ["::1", "fd00::1", "::ffff:127.0.0.2", "64:ff9b::7f00:2"])
async def test_families_are_judged_each(
    dns_server: DnsServer, endpoint: RawServer, private: RawServer, address: str
) -> None:
    dns_server.set(NAME, "AAAA", address)
    answer = await called(dns_server, NAME, endpoint.port)
    assert "is on a network that may not be called" in str(answer.error)
    dns_server.set(NAME, "A", PUBLIC)
    assert (await called(dns_server, NAME, endpoint.port)).result is Result.DELIVERED
    assert private.connections == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost"])
async def test_localhost_is_asked_of_nobody(dns_server: DnsServer, host: str) -> None:
    dns_server.set(host, "A", "8.8.8.8")
    answer = await called(dns_server, host, 9, Egress(allow_http=True))
    assert "is a host that may not be called" in str(answer.error)
    assert dns_server.questions == []


@pytest.mark.parametrize("asked", ["the system", "a DNS server"])
@pytest.mark.parametrize("host", ["0x7f.1", "0x7f000001", "127.1", "2130706433", "0177.0.0.1"])
async def test_no_resolver_reads_an_address_into_a_name(
    dns_server: DnsServer, endpoint: RawServer, host: str, asked: str
) -> None:
    """Although the address that it would read may be called."""
    dns_server.set(f"{host}.", "A", PUBLIC)
    answer = await called(None if asked == "the system" else dns_server, host, endpoint.port)
    assert answer.http_status is None
    assert "may not be called" in str(answer.error) or "is not valid" in str(answer.error)
    assert endpoint.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        f"good.example@{PRIVATE}",
        f"good.example%40x:80@{PRIVATE}",
        "127。0。0。2",
        "１２７.0.0.2",
        f"{PRIVATE}%00.example",
        f"[::ffff:{PRIVATE}]",
    ],
)
async def test_no_way_to_write_it_reaches_the_private_address(
    dns_server: DnsServer, private: RawServer, host: str
) -> None:
    answer = await called(dns_server, host, private.port)
    assert answer.http_status is None
    assert private.connections == 0
