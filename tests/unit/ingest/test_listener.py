"""What comes before a session: a place, the PROXY header, the client's silence."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import cast

import pytest

from conduit_smtp_ingest.connection import Connection
from conduit_smtp_ingest.failures import AuthFailures
from conduit_smtp_ingest.intake import Intake
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.listener import Listener
from conduit_smtp_ingest.server import Server, Verifies
from conduit_smtp_ingest.session import SmtpSession
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.settings import IngestSettings
from tests.support.polling import eventually
from tests.support.smtp import Client

PEER = "192.0.2.200"
GREETING = "220 localhost ESMTP"
TOO_MANY = b"421 4.3.2 Too many connections, try again later\r\n"
TOO_MANY_OF_ADDRESS = b"421 4.7.0 Too many connections from your address, try again later\r\n"
TOO_EARLY = b"554 5.5.1 You spoke before the greeting\r\n"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class Front:
    """A server that no mail comes to, whose clients all seem to connect from one address."""

    def __init__(self) -> None:
        self.limits = Limits.of(IngestSettings())
        self.sessions = Sessions(3, 2)
        self.behind_proxy = False

    @asynccontextmanager
    async def client(self, *, tls_first: bool = False) -> AsyncIterator[Client]:
        """Connect."""
        server = Server(
            intake=cast(Intake, None),
            credentials=cast(Verifies, None),
            auth_failures=AuthFailures(9, 60, 9),
            sessions=self.sessions,
            limits=self.limits,
            budget=Budget(1),
            tls=None,
            proxies=(ip_network("192.0.2.0/24"),) if self.behind_proxy else (),
        )
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            Listener(server, tls_first), theirs
        )
        reader, writer = await asyncio.open_connection(sock=ours)
        open_before = len(self.sessions._open)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()
            transport.abort()
            await eventually(lambda: len(self.sessions._open) <= open_before, what="the end")

    def clients(self) -> set[str]:
        """Return the addresses of those who have a session."""
        return {cast(SmtpSession, session).client.remote_ip for session in self.sessions._open}


@pytest.fixture
async def front(monkeypatch: pytest.MonkeyPatch) -> Front:
    monkeypatch.setattr(Connection, "peer_ip", PEER)
    return Front()


async def test_without_a_place_one_is_told_so(front: Front) -> None:
    front.sessions = Sessions(1, 9)
    async with front.client() as first:
        assert await first.reply() == GREETING
        async with front.client() as second:
            assert await second.rest() == TOO_MANY
        await first.expect("QUIT", "221")
        assert await first.rest() == b""
    async with front.client() as third:
        assert await third.reply() == GREETING


async def test_without_a_place_for_its_address_one_is_told_so(front: Front) -> None:
    front.sessions = Sessions(9, 1)
    async with front.client() as first:
        assert await first.reply() == GREETING
        async with front.client() as second:
            assert await second.rest() == TOO_MANY_OF_ADDRESS


@pytest.mark.parametrize("sessions", [Sessions(0, 9), Sessions(9, 0)])
async def test_who_expects_a_handshake_is_told_nothing(front: Front, sessions: Sessions) -> None:
    front.sessions = sessions
    async with front.client(tls_first=True) as client:
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::25 56324 25\r\n", "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", PEER),
        (LOCAL, PEER),
    ],
)
async def test_a_proxy_tells_who_the_client_is(front: Front, header: bytes, source: str) -> None:
    front.behind_proxy = True
    async with front.client() as client:
        await client.send(header)
        assert await client.reply() == GREETING
        assert front.clients() == {source}


async def test_a_malformed_header_is_logged_and_ends_the_connection(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    front.behind_proxy = True
    async with front.client() as client:
        await client.send(b"EHLO client.example\r\n")
        assert await client.rest() == b""
    assert caplog.messages == ["proxy.malformed"]


async def test_places_are_counted_for_who_is_behind_the_proxy(front: Front) -> None:
    front.behind_proxy, front.sessions = True, Sessions(9, 1)
    async with front.client() as first, front.client() as second, front.client() as third:
        for client, host in ((first, 1), (second, 2)):
            await client.send(f"PROXY TCP4 192.0.2.{host} 192.0.2.25 56324 25\r\n".encode())
            assert await client.reply() == GREETING
        await third.send(b"PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\r\n")
        assert await third.rest() == TOO_MANY_OF_ADDRESS


async def test_who_waits_for_the_greeting_gets_it(front: Front) -> None:
    front.limits = replace(front.limits, greeting_delay=0.1)
    async with front.client() as client:
        assert await client.reply() == GREETING
        await client.expect("NOOP", "250")


@pytest.mark.parametrize("header", [b"", LOCAL], ids=["alone", "with a header"])
async def test_who_does_not_wait_for_the_greeting_is_refused(front: Front, header: bytes) -> None:
    front.behind_proxy = bool(header)
    front.limits = replace(front.limits, greeting_delay=30)
    async with front.client() as client:
        await client.send(header + b"EHLO client.example\r\n")
        assert await client.rest() == TOO_EARLY
