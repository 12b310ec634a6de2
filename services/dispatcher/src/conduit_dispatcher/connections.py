"""Connections to endpoints, which mean no good until they have shown it: how they are opened."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from conduit.webhook.egress import Egress
from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.failures import CallFailed, EgressDenied, ProxyRefused, Unconnected
from conduit_dispatcher.hosts import Address, Hosts
from conduit_dispatcher.target import Endpoint

FAREWELL = 1.0
"""Seconds that the other side has to end TLS as it should."""

_RECEIVED_AT_ONCE = 32 * 1024
"""Octets that the system gathers of an answer. All that has come is parsed in one go, in which no
other call gets on: a quarter of a megabyte of the smallest chunks takes many milliseconds."""

NewConnection = Callable[[], Connection]


class Opener(Protocol):
    """Opens connections."""

    async def open(self, endpoint: Endpoint, new: NewConnection) -> Connection:
        """Return a new connection to an endpoint, or raise CallFailed."""


class DirectOpener:
    """Connects to endpoints themselves, each address being judged on the socket for it.

    `patience` is in seconds for each of an endpoint's addresses, TLS included.
    """

    def __init__(self, egress: Egress, hosts: Hosts, patience: float) -> None:
        self._egress = egress
        self._hosts = hosts
        self._patience = patience
        self._tls = tls_context()

    async def open(self, endpoint: Endpoint, new: NewConnection) -> Connection:
        """Return a new connection to the first address that can be had."""
        addresses = await self._hosts.addresses(endpoint.host)
        return await first_to_connect(addresses, lambda to: self._connect(endpoint, to, new))

    async def _connect(self, endpoint: Endpoint, to: Address, new: NewConnection) -> Connection:
        try:
            async with asyncio.timeout(self._patience):
                opened = await self._socket(to, endpoint.port)
                return await self._connection(opened, endpoint, new)
        except (TimeoutError, OSError) as error:
            raise unconnected(endpoint, error) from error

    async def _socket(self, to: Address, port: int) -> socket.socket:
        if not self._egress.allows(to.host):
            raise EgressDenied(f"{to.host} is on a network that may not be called")
        opened = socket.socket(to.family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            limit_receipt(opened)
            await asyncio.get_running_loop().sock_connect(opened, (to.host, port))
        except BaseException:
            opened.close()
            raise
        return opened

    async def _connection(
        self, opened: socket.socket, endpoint: Endpoint, new: NewConnection
    ) -> Connection:
        loop = asyncio.get_running_loop()
        if not endpoint.tls:
            return (await loop.create_connection(new, sock=opened))[1]
        _, connection = await loop.create_connection(
            new,
            sock=opened,
            ssl=self._tls,
            server_hostname=server_name(endpoint),
            ssl_shutdown_timeout=FAREWELL,
        )
        return connection


async def first_to_connect(
    addresses: Iterable[Address], connect: Callable[[Address], Awaitable[Connection]]
) -> Connection:
    """Try one address after the other; raise the last one's failure when none can be had."""
    failure: CallFailed = Unconnected("the endpoint has no address")
    for address in addresses:
        try:
            return await connect(address)
        except (EgressDenied, ProxyRefused, Unconnected) as error:
            failure = error
    raise failure


def limit_receipt(connection: socket.socket) -> None:
    """Have a connection take little at a time; answers are small."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AT_ONCE)


def tls_context() -> ssl.SSLContext:
    """Return what checks certificates and host names; making one takes some milliseconds."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_name(endpoint: Endpoint) -> str:
    """Return what a certificate must be for: the dot at the end of a full name is in none."""
    return endpoint.host.rstrip(".")


def unconnected(endpoint: Endpoint, error: OSError) -> Unconnected:
    """Say why there is no connection to an endpoint."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return Unconnected("connecting took too long")
    if isinstance(error, ssl.SSLError):
        return Unconnected(f"TLS failed: {error.reason or error}")
    why = os.strerror(error.errno) if error.errno else str(error) or "the connection was closed"
    return Unconnected(f"cannot connect to {endpoint.host}:{endpoint.port}: {why}")
