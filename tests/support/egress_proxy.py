"""An egress proxy on loopback: makes tunnels, or does as a test tells it."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from contextlib import suppress

from tests.support.raw_server import Converse, RawServer, request


class EgressProxy(RawServer):
    """`requests` are the heads of what it was asked, in order.

    It connects to where CONNECT says, or, where `hosts` has that, to another address, but not to
    those that are `unreachable` (502). `instead` of that, it may do something else.
    """

    def __init__(self, *, host: str = "127.0.0.2", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._serve_proxy, host=host, tls=tls)
        self.requests: list[str] = []
        self.hosts: Mapping[str, str] = {}
        self.instead: Converse | None = None
        self.unreachable: Collection[str] = ()

    @property
    def authorities(self) -> list[str]:
        """What it was to connect to."""
        return [head.split(" ")[1] for head in self.requests]

    async def _serve_proxy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head, _ = await request(reader)
        self.requests.append(head)
        if self.instead is not None:
            await self.instead(reader, writer)
            return
        host, _, port = self.authorities[-1].rpartition(":")
        name = host.strip("[]")
        if name in self.unreachable:
            writer.write(b"HTTP/1.1 502 Bad gateway\r\n\r\n")
            return
        beyond = await asyncio.open_connection(self.hosts.get(name, name), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, beyond[1]), _pump(beyond[0], writer))
        finally:
            beyond[1].close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # one of them has gone
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
