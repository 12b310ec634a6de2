"""A way to a server that a test can block, without any harm to the server."""

import asyncio
from urllib.parse import urlsplit

from conduit_local.ports import LOOPBACK, Ports


class Relay:
    """Listens in place of a server and passes on what comes, unless it is blocked."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port is not None
        self._target = parts.port
        self._port = Ports.free().store
        self.url = f"{parts.scheme}://{LOOPBACK}:{self._port}"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def unblock(self) -> None:
        """Let clients through."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self._port)

    async def block(self) -> None:
        """Refuse clients, and end the connections that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        while self._open:
            await asyncio.wait([asyncio.ensure_future(_closed(next(iter(self._open))))])
            self._open = {writer for writer in self._open if not writer.is_closing()}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._target)
        self._open |= {writer, server_writer}
        await asyncio.gather(_pass_on(reader, server_writer), _pass_on(server_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(65_536):
            writer.write(octets)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:  # it was cut off
        return
