"""One connection to an endpoint: a request and its answer at a time."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from conduit_dispatcher.failures import NotHttp
from conduit_dispatcher.http1 import AnswerReader, Reply
from conduit_dispatcher.target import Endpoint

_PIECE = 256 * 1024
"""Octets of a body that are handed over at a time; TLS enciphers what it gets in one go, in which
no other call gets on."""

_NOTHING_LINGERS = struct.pack("ii", 1, 0)

_CLOSED = "the endpoint closed the connection without an answer"
_BROKE_OFF = "the endpoint's answer broke off"
_UNASKED = "the endpoint sent something before it was asked"


class Connection(asyncio.Protocol):
    """Makes calls, one after the other; between them nobody may say anything.

    `ended` is told once the connection is there no more; `gone` is done then. It `is_reusable`
    after a call if that came to its end in order: who made the call closes it otherwise.
    """

    _transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint, ended: Callable[["Connection"], None]) -> None:
        self.endpoint = endpoint
        self.is_reusable = False
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._was_used = False
        self._was_heard = False
        self._spoke_unasked = False
        self._is_sent = True
        self._reader = AnswerReader()
        self._reply: asyncio.Future[Reply] | None = None
        self._room: asyncio.Future[None] | None = None

    async def call(self, head: bytes, body: bytes, deadline: float, late: str) -> Reply:
        """Send a request and return its answer, or what of it came until the loop's `deadline`.

        `late` says that in words.
        """
        self._reader = AnswerReader()
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._reply = reply
        self._was_heard = self.is_reusable = False
        timer = self._loop.call_at(deadline, self._give_up, late)
        try:
            if self.gone.done():
                self._settle(Reply(failure=self._why(None), again=self._was_used))
            elif len(body) <= _PIECE:
                self._transport.write(head + body)
            else:
                await self._send(head, body, reply)
            return await reply
        finally:
            timer.cancel()
            self._reader.close()
            self._was_used = True

    async def _send(self, head: bytes, body: bytes, reply: asyncio.Future[Reply]) -> None:
        """Write a large request as fast as it is taken, until it is, or there is an answer."""
        self._is_sent = False
        self._transport.write(head)
        rest = memoryview(body)
        while rest and not reply.done():
            self._transport.write(rest[:_PIECE])
            rest = rest[_PIECE:]
            self._is_sent = not rest
            if self._room is not None:
                await self._room

    def is_open(self) -> bool:
        """Whether nobody has begun to close it."""
        return not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection, and reset it where a rest is unsent.

        The transport would wait until that is sent: with an endpoint that never reads, for ever. So
        would the system with what it was given.
        """
        self.is_reusable = False
        if self._transport.get_write_buffer_size() and not self.gone.done():
            connection = self._transport.get_extra_info("socket")
            with suppress(OSError):  # below TLS it may be closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOTHING_LINGERS)
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection without a word to the other side."""
        self._transport.abort()

    # What follows is called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():  # nobody was asked, or all is said
            self._spoke_unasked = True
            self.close()
            return
        self._was_heard = True
        try:
            self._reader.feed(data)
        except NotHttp as failure:
            self._settle(Reply(failure=str(failure)))
            return
        if self._reader.whole:
            sent = self._is_sent and not self._transport.get_write_buffer_size()
            self.is_reusable = sent and self._reader.keeps
            self._settle(self._reader.reply())
        elif self._reader.is_deaf:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self._reader.end()
        if self._reader.whole:
            self._settle(self._reader.reply())

    def connection_lost(self, exc: Exception | None) -> None:
        again = self._was_used and not self._was_heard
        self._settle(self._reader.reply(self._why(exc), again=again))
        self.gone.set_result(None)
        self._ended(self)

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _why(self, exc: Exception | None) -> str:
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
            return f"TLS failed: {exc.reason or exc}"
        if self._reader.status is not None:
            return _BROKE_OFF
        return _UNASKED if self._spoke_unasked else _CLOSED

    def _give_up(self, late: str) -> None:
        self._settle(self._reader.reply(late))

    def _settle(self, reply: Reply) -> None:
        """Say what came of the call under way, if there is one."""
        if self._reply is None or self._reply.done():
            return
        self._reply.set_result(reply)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
