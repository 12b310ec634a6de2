"""The PROXY protocol: whose connections begin with a header, and what it says of the client.

Proxies connect from 127.0.0.2 here, everybody else from 127.0.0.1.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import NewWebhook, Queued, Settings
from tests.support.polling import PATIENCE, eventually
from tests.support.smtp import Client, Ingest, any_certificate, connected, greeted

PROXY = "127.0.0.2"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
PORTS = b"\xdc\x04\x00\x19"
IDLE, PER_ADDRESS = 3.0, 2


@pytest.fixture(scope="module")
def proxied_ingest(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ingest]:
    """An ingest behind a proxy."""
    own = {
        "CONDUIT_SMTP_PROXY_NETWORKS": f"{PROXY}/32,2001:db8::/32",
        "CONDUIT_SMTP_CONNECTION_LIMIT_PER_IP": str(PER_ADDRESS),
        "CONDUIT_SMTP_IDLE_TIMEOUT": str(IDLE),
    }
    with Ingest(tmp_path_factory.mktemp("proxied"), settings | own) as ingest:
        yield ingest


@pytest.fixture
async def proxied(proxied_ingest: Ingest) -> Ingest:
    """The ingest behind a proxy, nobody connected to it."""
    await eventually(
        lambda: proxied_ingest.metric("conduit_ingest_sessions") == 0, what="no session"
    )
    return proxied_ingest


def line(source: str) -> bytes:
    """Return a header of version 1."""
    own = "192.0.2.25" if ip_address(source).version == 4 else "2001:db8::25"
    return f"PROXY TCP{ip_address(source).version} {source} {own} 56324 25\r\n".encode()


def binary(source: str) -> bytes:
    """Return a header of version 2."""
    address = ip_address(source)
    block = address.packed * 2 + PORTS
    family = b"\x11" if address.version == 4 else b"\x21"
    return SIGNATURE + b"\x21" + family + len(block).to_bytes(2) + block


LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


@asynccontextmanager
async def proxying(ingest: Ingest, *, tls: bool = False) -> AsyncIterator[Client]:
    """Connect as the proxy does; the header is yet to be sent."""
    port = ingest.tls_port if tls else ingest.port
    async with connected(port, source=PROXY) as client:
        yield client


@pytest.mark.parametrize(
    ("header", "source"),
    [
        pytest.param(line("192.0.2.1"), "192.0.2.1", id="v1 IPv4"),
        pytest.param(line("2001:db8:5::1"), "2001:db8:5::1", id="v1 IPv6"),
        pytest.param(b"PROXY UNKNOWN\r\n", PROXY, id="v1 of an unknown client"),
        pytest.param(binary("192.0.2.2"), "192.0.2.2", id="v2 IPv4"),
        pytest.param(binary("2001:db8:5::2"), "2001:db8:5::2", id="v2 IPv6"),
        pytest.param(binary("::ffff:192.0.2.3"), "192.0.2.3", id="v2 mapped IPv4"),
        pytest.param(LOCAL, PROXY, id="v2 LOCAL"),
    ],
)
async def test_the_client_is_who_the_proxy_says_before_and_after_starttls(
    proxied: Ingest, webhook: Webhook, queued: Queued, header: bytes, source: str
) -> None:
    async with greeted(proxied.port, source=PROXY, header=header) as client:
        assert (await client.mail(b"in the clear\r\n", webhook.address)).startswith("250 ")
        await client.start_tls()
        await client.expect("EHLO client.example", "250")
        assert (await client.mail(b"secret\r\n", webhook.address)).startswith("250 ")
    clear, secured = [event.envelope for event in await queued.expect(webhook, 2)]
    assert (clear.remote_ip, clear.tls) == (source, None)
    assert (secured.remote_ip, secured.tls) == (source, "TLSv1.3")


@pytest.mark.parametrize("header", [line("192.0.2.1"), binary("192.0.2.1")], ids=["v1", "v2"])
async def test_a_header_may_come_octet_by_octet_and_nothing_is_said_before(
    proxied: Ingest, header: bytes
) -> None:
    async with proxying(proxied) as client:
        for octet in header:
            await client.send(bytes([octet]))
            await asyncio.sleep(0)
        assert await client.reply() == "220 localhost ESMTP"


async def test_commands_in_the_headers_packet_are_answered_after_the_greeting(
    proxied: Ingest,
) -> None:
    async with proxying(proxied) as client:
        await client.send(binary("192.0.2.1") + b"NOOP\r\nQUIT\r\n")
        said = b"220 localhost ESMTP\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"
        assert await client.rest() == said


@pytest.mark.parametrize("header", [line("192.0.2.9"), binary("2001:db8:5::9"), LOCAL])
async def test_behind_a_header_may_be_a_handshake(
    proxied: Ingest, webhook: Webhook, queued: Queued, header: bytes
) -> None:
    async with greeted(proxied.tls_port, source=PROXY, tls=True, header=header) as client:
        assert (await client.mail(b"secret\r\n", webhook.address)).startswith("250 ")
    [event] = await queued.expect(webhook)
    assert event.envelope.tls == "TLSv1.3"
    assert event.envelope.remote_ip == {
        line("192.0.2.9"): "192.0.2.9",
        binary("2001:db8:5::9"): "2001:db8:5::9",
        LOCAL: PROXY,
    }.get(header)


async def test_a_handshake_may_begin_in_the_headers_packet(proxied: Ingest) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = any_certificate().wrap_bio(incoming, outgoing)
    async with proxying(proxied, tls=True) as client:
        unsent, greeting = binary("192.0.2.1"), b""
        while not greeting:
            try:
                secured.do_handshake()
                greeting = secured.read()
            except ssl.SSLWantReadError:
                await client.send(unsent + outgoing.read())
                unsent = b""
                async with asyncio.timeout(PATIENCE):
                    octets = await client.reader.read(65_536)
                assert octets, "the handshake was broken off"
                incoming.write(octets)
    assert greeting == b"220 localhost ESMTP\r\n"


@pytest.mark.parametrize("tls", [False, True], ids=["port for STARTTLS", "port for TLS"])
@pytest.mark.parametrize(
    "malformed",
    [
        b"EHLO client.example\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x21\x11\x00\x04" + b"\xc0\x00\x02\x01",
        SIGNATURE + b"\x21\x11\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_a_malformed_header_ends_the_connection_without_a_word(
    proxied: Ingest, malformed: bytes, tls: bool
) -> None:
    told = proxied.said().count("proxy.malformed")
    async with proxying(proxied, tls=tls) as client:
        await client.send(malformed)
        assert await client.rest() == b""
    assert proxied.said().count("proxy.malformed") == told + 1


async def test_a_header_that_does_not_come_ends_the_connection(proxied: Ingest) -> None:
    async def said(begun: bytes, *, tls: bool) -> bytes:
        async with proxying(proxied, tls=tls) as client:
            await client.send(begun)
            return await client.rest(within=IDLE + 10)

    begun = (b"", b"PROXY TCP4 192.0", binary("192.0.2.1")[:20])
    clear, secured = await asyncio.gather(
        asyncio.gather(*(said(octets, tls=False) for octets in begun)),
        asyncio.gather(*(said(octets, tls=True) for octets in begun)),
    )
    assert clear == [b"421 4.4.2 Timeout, closing the connection\r\n"] * 3
    assert secured == [b""] * 3


@pytest.mark.parametrize("header", [line("192.0.2.1"), binary("192.0.2.1")], ids=["v1", "v2"])
async def test_nobody_else_can_say_who_they_are(
    proxied: Ingest, webhook: Webhook, queued: Queued, header: bytes
) -> None:
    async with connected(proxied.port) as client:
        assert await client.reply() == "220 localhost ESMTP"
        await client.send(header + b"\r\n")
        assert await client.reply() == "500 5.5.1 Unknown command"
    async with greeted(proxied.port) as client:
        await client.expect("PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "500 5.5.1 Unknown command")
        await client.start_tls()
        await client.expect("PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "500 5.5.1 Unknown command")
        await client.expect("EHLO client.example", "250")
        assert (await client.mail(b"\r\n", webhook.address)).startswith("250 ")
    [event] = await queued.expect(webhook)
    assert event.envelope.remote_ip == "127.0.0.1"


async def test_a_second_header_is_a_bad_command(proxied: Ingest) -> None:
    async with greeted(proxied.port, source=PROXY, header=line("192.0.2.1")) as client:
        assert await client.command(line("192.0.2.2")[:-2]) == "500 5.5.1 Unknown command"


async def test_a_policy_judges_the_client_and_not_the_proxy(
    proxied: Ingest, under_policy: NewWebhook
) -> None:
    networks = (ip_network("192.0.2.0/28"), ip_network("2001:db8:7::/48"))
    webhook = await under_policy(source_networks=networks)
    refused = "550 5.7.1 This address takes no mail from your network"
    for header, expected in (
        (line("192.0.2.15"), "250 2.1.5"),
        (line("192.0.2.16"), refused),
        (binary("2001:db8:7:8::1"), "250 2.1.5"),
        (binary("2001:db8:8::1"), refused),
        (LOCAL, refused),
    ):
        async with greeted(proxied.port, source=PROXY, header=header) as client:
            await client.expect("MAIL FROM:<ann@example.com>", "250")
            await client.expect(f"RCPT TO:<{webhook.address}>", expected)
            await client.start_tls()
            await client.expect("EHLO client.example", "250")
            await client.expect("MAIL FROM:<ann@example.com>", "250")
            await client.expect(f"RCPT TO:<{webhook.address}>", expected)


TOO_MANY = b"421 4.7.0 Too many connections from your address, try again later\r\n"


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], "192.0.2.2"),
        (["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"], "2001:db8:0:2::1"),
    ],
    ids=["IPv4", "IPv6 /64"],
)
async def test_connections_are_counted_for_the_client_and_not_for_the_proxy(
    proxied: Ingest, same: list[str], other: str
) -> None:
    *taken, one_more = map(binary, same)
    async with AsyncExitStack() as stack:
        first, *_ = [
            await stack.enter_async_context(greeted(proxied.port, source=PROXY, header=header))
            for header in taken
        ]
        async with proxying(proxied) as client:
            await client.send(one_more)
            assert await client.rest() == TOO_MANY
        async with proxying(proxied, tls=True) as client:
            await client.send(one_more)
            assert await client.rest() == b""
        async with greeted(proxied.port, source=PROXY, header=binary(other)) as client:
            await client.expect("NOOP", "250")
        await first.expect("QUIT", "221")
        assert await first.rest() == b""
        async with greeted(proxied.port, source=PROXY, header=one_more) as client:
            await client.expect("NOOP", "250")
