"""Connections to endpoints through the operator's egress proxy: a tunnel (CONNECT) for each.

The egress guard stays whole. Names are looked up and their addresses judged here, and the proxy is
asked for an address that was judged, so that no second look-up can lead elsewhere. Inside the
tunnel all is as without it: the certificate is checked for the name, Host is the name, the
connection is kept, and the proxy sees nothing of the call.

Targets with http:// get tunnels too. A proxy that is asked for a URL sends its authority as Host
(RFC 9112 §3.2.2), so either the name or the address that was judged would be lost.
"""

import asyncio
import re
import socket
import ssl
from operator import attrgetter
from typing import cast

from conduit import __version__
from conduit.webhook.egress import Egress
from conduit_dispatcher.connections import (
    FAREWELL,
    NewConnection,
    first_to_connect,
    limit_receipt,
    server_name,
    tls_context,
    unconnected,
)
from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.failures import EgressDenied, ProxyFailed, ProxyRefused
from conduit_dispatcher.hosts import Address, Hosts
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.target import Endpoint

_LONGEST = 16 * 1024
"""Octets that a proxy may take to answer a CONNECT."""

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_BEGIN = b"HTTP/1."
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_INVALID = "the egress proxy's answer is not valid HTTP"


class TunnelOpener:
    """Opens connections through the proxy, whose own address is the operator's business.

    `patience` is in seconds for each of an endpoint's addresses, TLS included.
    """

    def __init__(self, proxy: Proxy, egress: Egress, hosts: Hosts, patience: float) -> None:
        self._proxy = proxy
        self._egress = egress
        self._hosts = hosts
        self._patience = patience
        self._tls = tls_context()
        self._proxy_tls = ssl.create_default_context() if proxy.tls else None

    async def open(self, endpoint: Endpoint, new: NewConnection) -> Connection:
        """Return a new connection in a tunnel to the first address that can be had.

        Those of IPv4 come first: fewer proxies can reach the others, and who cannot may be slow.
        """
        addresses = await self._hosts.addresses(endpoint.host)
        ordered = sorted(addresses, key=attrgetter("family"))
        return await first_to_connect(ordered, lambda to: self._connect(endpoint, to, new))

    async def _connect(self, endpoint: Endpoint, to: Address, new: NewConnection) -> Connection:
        until = asyncio.get_running_loop().time() + self._patience
        try:
            async with asyncio.timeout_at(until):
                tunnel = await self._tunnel_to(to.host, endpoint.port)
        except TimeoutError as error:
            waited = f"{self._patience:g} s"
            raise ProxyFailed(f"the egress proxy made no connection within {waited}") from error
        try:
            async with asyncio.timeout_at(until):
                return await self._inside(tunnel, endpoint, new())
        except OSError as error:
            raise unconnected(endpoint, error) from error

    async def _tunnel_to(self, host: str, port: int) -> asyncio.Transport:
        if not self._egress.allows_host(host) or not _HOST.fullmatch(host):
            raise EgressDenied(f"{host} is on a network that may not be called")
        transport, question = await self._connected()
        limit_receipt(transport.get_extra_info("socket"))
        try:
            transport.write(self._question(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
            _check(await question.status)
        except BaseException:
            transport.abort()
            raise
        return transport

    async def _connected(self) -> tuple[asyncio.Transport, "_Question"]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_connection(
                _Question, self._proxy.host, self._proxy.port, ssl=self._proxy_tls
            )
        except ssl.SSLError as error:
            why = error.reason or "the handshake broke off"
            raise ProxyFailed(f"the egress proxy cannot be reached over TLS: {why}") from error
        except socket.gaierror as error:
            raise ProxyFailed("the egress proxy's name cannot be resolved") from error
        except OSError as error:
            raise ProxyFailed("the egress proxy cannot be reached") from error

    async def _inside(
        self, tunnel: asyncio.Transport, endpoint: Endpoint, connection: Connection
    ) -> Connection:
        """Hand the tunnel over to the connection, or close it."""
        try:
            transport = await self._transport(tunnel, endpoint, connection)
        except BaseException:
            tunnel.abort()
            raise
        if transport is None or transport.is_closing():
            tunnel.abort()
            raise ConnectionResetError  # which is said as the system's own
        connection.connection_made(transport)
        return connection

    async def _transport(
        self, tunnel: asyncio.Transport, endpoint: Endpoint, connection: Connection
    ) -> asyncio.Transport | None:
        if not endpoint.tls:
            tunnel.set_protocol(connection)
            return tunnel
        return await asyncio.get_running_loop().start_tls(
            tunnel,
            connection,
            self._tls,
            server_hostname=server_name(endpoint),
            ssl_shutdown_timeout=FAREWELL,
        )

    def _question(self, authority: str) -> bytes:
        lines = [
            f"CONNECT {authority} HTTP/1.1",
            f"Host: {authority}",
            f"User-Agent: Conduit/{__version__}",
        ]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        return "\r\n".join([*lines, "", ""]).encode()


class _Question(asyncio.Protocol):
    """A CONNECT that was asked. `status` is that of the answer; 1xx are none (RFC 9110 §15.2)."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = bytearray()
        self._left = _LONGEST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        self._left -= len(data)
        if self.status.done():  # nobody speaks in a tunnel before the endpoint was asked something
            self._transport.abort()
            return
        try:
            status = self._read()
        except ProxyFailed as failure:
            self.status.set_exception(failure)
        else:
            if status is not None:
                self.status.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        if not self.status.done():
            self.status.set_exception(ProxyFailed("the egress proxy closed the connection"))

    def _read(self) -> int | None:
        """Return the status once the answer's head is whole."""
        if not self._head.startswith(_BEGIN[: len(self._head)]):
            raise ProxyFailed(_INVALID)
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            found = _STATUS.match(self._head)
            if found is None:
                raise ProxyFailed(_INVALID)
            status = int(found[1])
            del self._head[: end + 4]
            if status >= 200:
                if status < 300 and self._head:
                    raise ProxyFailed(_INVALID)
                return status
        if self._left < 0:
            raise ProxyFailed(_INVALID)
        return None


def _check(status: int) -> None:
    if status in {401, 407}:  # tinyproxy means the latter by the former
        raise ProxyFailed(f"the egress proxy does not accept Conduit's credentials ({status})")
    if status == 403:
        raise ProxyRefused("the egress proxy does not allow this call (403)")
    if status >= 300:
        raise ProxyRefused(f"the egress proxy could not connect to the endpoint ({status})")
