"""One client's connection: octets that came and are not read yet, octets that go, and TLS.

What is written goes out when the session waits for its client, so that the replies to pipelined
commands travel together (RFC 2920 §3.2).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, cast

READ_AHEAD = 64 * 1024
"""Octets that are read before somebody asks for them; then the client is kept waiting."""

_room = memoryview(bytearray(READ_AHEAD))  # where octets are put that the system has for us

_TLS_AT_ONCE = 64 * 1024  # octets; the system takes twice as many for what it needs besides
_LONGEST_SKIPPED = 1024 * 1024  # octets of a line that nobody wants


class ConnectionEnded(ConnectionError):
    """The client has closed the connection, or it was cut off."""


class Connection(asyncio.BufferedProtocol):
    """Runs `serve` for a connection that was made; what it awaits here ends when the client goes.

    A session that awaits something else, such as a broker's confirm, is not disturbed by that.
    """

    transport: asyncio.Transport

    def __init__(self, serve: Callable[["Connection"], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._task: asyncio.Task[None] | None = None
        self._read = b""
        self._position = 0
        self._written: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._at_end = False
        self._lost = False
        self._closing = False
        self._mute = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._task = asyncio.get_running_loop().create_task(self._serve(self))

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Say where what comes is to be put, and how much at a time, or it is four times that."""
        return _room

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came for who reads it; the room is everybody's."""
        octets = bytes(_room[:nbytes])
        if self._position < len(self._read):
            octets = self._read[self._position :] + octets
        self._read, self._position = octets, 0
        self._pause_when_full()
        self._wake()

    def _pause_when_full(self) -> None:
        if len(self._read) >= READ_AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Let a client that has closed its side still get its replies, where TLS allows it."""
        self._at_end = True
        self._wake()
        return self.ssl_object is None

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell who waits for the client that it is gone."""
        self._lost = True
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable.set()

    @property
    def peer_ip(self) -> str:
        """The address of who is connected, empty where there is none."""
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """What TLS knows of the connection, None in the clear."""
        secured: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        return secured

    @property
    def tls_version(self) -> str | None:
        """The protocol version, such as `TLSv1.3`, None in the clear."""
        secured = self.ssl_object
        return secured.version() if secured is not None else None

    @property
    def buffered(self) -> bytes:
        """What came and is not read yet."""
        return self._read[self._position :]

    def skip(self, octets: int) -> None:
        """Take so many octets of what is buffered as read."""
        self._position += octets

    async def line(self, limit: int) -> bytes | None:
        """Return the next line without its end, or None for one of more than `limit` octets.

        The latter is read to its end, unless that is too far away: ConnectionEnded.
        """
        looked_at = self._position
        while (end := self._read.find(b"\n", looked_at)) < 0:
            seen = len(self._read) - self._position
            if seen > limit:
                await self._skip_line()
                return None
            await self.more()
            looked_at = self._position + seen
        line = self._read[self._position : end]
        self._position = end + 1
        return line.rstrip(b"\r") if len(line) < limit else None

    async def _skip_line(self) -> None:
        skipped = 0
        while skipped <= _LONGEST_SKIPPED:
            chunk = await self.chunk()
            skipped += len(chunk)
            if (end := chunk.find(b"\n")) >= 0:
                return self.put_back(chunk[end + 1 :])
        raise ConnectionEnded("a line without end")

    async def chunk(self) -> bytes:
        """Return all that has come, at least one octet."""
        if self._position >= len(self._read):
            await self.more()
        chunk = self._read[self._position :] if self._position else self._read
        self._read, self._position = b"", 0
        return chunk

    def put_back(self, octets: bytes) -> None:
        """Have octets of the last chunk read again."""
        self._read, self._position = octets + self.buffered, 0

    def forget(self) -> None:
        """Drop what came and is not read yet."""
        self._read, self._position = b"", 0

    async def more(self) -> None:
        """Send what was written; return when more has come, or raise ConnectionEnded."""
        self.flush()
        if not self._writable.is_set():
            seen = len(self._read) - self._position
            await self._writable.wait()
            if len(self._read) - self._position > seen:
                return
        self._check_end()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None
        if self._position >= len(self._read):
            self._check_end()

    def _check_end(self) -> None:
        if self._lost or self._at_end:
            raise ConnectionEnded("the client has closed the connection")

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def write(self, octets: bytes) -> None:
        """Have octets sent with the next `flush`."""
        self._written.append(octets)

    def flush(self) -> None:
        """Send what was written, unless the client expects a handshake and nothing else."""
        if self._written and not (self._closing or self._lost or self._mute):
            self.transport.write(b"".join(self._written))
        self._written.clear()

    def mute(self) -> None:
        """Say nothing until TLS is there."""
        self._mute = True

    async def start_tls(
        self, context: ssl.SSLContext, *, timeout: float, begun: bool = False
    ) -> None:
        """Go on inside TLS. What came before is forgotten: it may be an attacker's (RFC 3207 §4.2).

        `begun`: nothing was said in the clear, and what came before is of the handshake. Raise
        ConnectionEnded when that fails.
        """
        self.flush()
        self.mute()
        if not begun:
            self.forget()
        self._check_end()
        self._read_less_at_once()
        self._paused = True  # so that nothing pauses the transport below TLS, which TLS needs
        loop = asyncio.get_running_loop()
        handshake = loop.start_tls(
            self.transport, self, context, server_side=True, ssl_handshake_timeout=timeout
        )
        try:
            secured, _ = await asyncio.gather(handshake, self._hand_over())
        except (OSError, ssl.SSLError) as error:
            raise ConnectionEnded(f"no TLS: {error}") from error
        if secured is None:
            raise ConnectionEnded("the client has closed the connection")
        self.transport = secured
        self._paused = self._mute = False
        self._pause_when_full()  # the client may have been quicker

    def _read_less_at_once(self) -> None:
        """Have the system keep less for us: TLS reads all that there is, and holds it twice."""
        connected = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TLS_AT_ONCE)

    async def _hand_over(self) -> None:
        """Give TLS, which has just taken over, what came before it did: it waits for that."""
        secured = cast(asyncio.BufferedProtocol, self.transport.get_protocol())
        while octets := self.buffered:
            room = cast(memoryview, secured.get_buffer(len(octets)))
            taken = min(len(room), len(octets))
            room[:taken] = octets[:taken]
            secured.buffer_updated(taken)
            self.skip(taken)

    def close(self) -> None:
        """Close when what was written is sent."""
        self.flush()
        self._closing = True
        self.transport.close()

    def abort(self) -> None:
        """Cut the connection off."""
        self.transport.abort()
