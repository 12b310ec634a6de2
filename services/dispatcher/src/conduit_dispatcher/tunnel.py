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
from collections.abc import Callable
from operator import itemgetter
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from conduit import __version__
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import EgressDenied, ProxyFailed
from conduit_dispatcher.connections import Connector, limit_receipt
from conduit_dispatcher.proxy import Proxy

AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]
"""An address as `socket.getaddrinfo` gives it: family, type, protocol, name, host and port."""

_LONGEST = 16 * 1024
"""Octets that a proxy may take to answer a CONNECT."""

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_BEGIN = b"HTTP/1."
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_INVALID = "the egress proxy's answer is not valid HTTP"


class TunnelConnector(Connector):
    """Keeps and opens connections as its base does, each one through the proxy.

    The proxy's own address is the operator's business and not judged.
    """

    def __init__(self, proxy: Proxy, egress: Egress, **settings: Any) -> None:  # noqa: ANN401
        """`settings` are those of the base."""
        super().__init__(**settings)
        self._proxy = proxy
        self._egress = egress
        self._proxy_tls = ssl.create_default_context() if proxy.tls else None

    async def _wrap_create_connection(  # where the base opens a connection, and only there
        self,
        *factory: Callable[[], ResponseHandler],
        addr_infos: list[Any],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **tls: Any,  # noqa: ANN401 (the base's)
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Open a tunnel to the first of the addresses that can be had, and speak TLS in it."""
        protocol = factory[0]()
        tunnel = None
        try:
            async with asyncio.timeout(timeout.sock_connect):
                tunnel = await self._tunnel(addr_infos)
                return await _inside(tunnel, protocol, tls["ssl"], tls["server_hostname"])
        except TimeoutError as error:
            if tunnel is not None:
                raise
            waited = f"{timeout.sock_connect:g} s"
            raise ProxyFailed(f"the egress proxy made no connection within {waited}") from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except ConnectionError as error:
            raise client_error(req.connection_key, error) from error
        finally:
            if tunnel is not None and protocol.transport is None:
                tunnel.abort()

    async def _tunnel(self, addr_infos: list[AddressInfo]) -> asyncio.Transport:
        """Return a tunnel to one of these addresses.

        Those of IPv4 come first: fewer proxies can reach the others, and who cannot may be slow.
        """
        failure: OSError = ProxyFailed("the endpoint has no address")
        for *_, address in sorted(addr_infos, key=itemgetter(0)):
            try:
                return await self._tunnel_to(str(address[0]), int(address[1]))
            except (EgressDenied, _Refused) as error:
                failure = error
        raise failure

    async def _tunnel_to(self, host: str, port: int) -> asyncio.Transport:
        if not self._egress.allows_host(host) or not _HOST.fullmatch(host):
            raise EgressDenied(f"{host} is on a network that may not be called")
        transport, question = await self._connected()
        limit_receipt(transport.get_extra_info("socket"))
        try:
            transport.write(self._connect(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
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

    def _connect(self, authority: str) -> bytes:
        lines = [
            f"CONNECT {authority} HTTP/1.1",
            f"Host: {authority}",
            f"User-Agent: Conduit/{__version__}",
        ]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        return "\r\n".join([*lines, "", ""]).encode()


class _Refused(ProxyFailed):
    """The proxy made no connection to this address; another one may do."""


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
        raise _Refused("the egress proxy does not allow this call (403)")
    if status >= 300:
        raise _Refused(f"the egress proxy could not connect to the endpoint ({status})")


async def _inside(
    tunnel: asyncio.Transport,
    protocol: ResponseHandler,
    tls: ssl.SSLContext | None,
    name: str | None,
) -> tuple[asyncio.Transport, ResponseHandler]:
    """Hand the tunnel over to the protocol of the call."""
    transport: asyncio.Transport | None = tunnel
    if tls is None:
        tunnel.set_protocol(protocol)
    else:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(tunnel, protocol, tls, server_hostname=name)
    if transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    protocol.connection_made(transport)
    return transport, protocol
