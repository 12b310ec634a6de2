"""Connections to endpoints, which mean no good until they have shown it."""

import socket
import struct
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace

_INTERIM = 100
"""Interim answers (1xx, RFC 9110 §15.2) before the one that counts; few send more than one."""

_RECEIVED_AT_ONCE = 32 * 1024
"""Octets that the system gathers of an answer. All that has come is parsed in one go, in which no
other call gets on: a quarter of a megabyte of the smallest chunks takes 0.1 s."""

_NOTHING_LINGERS = struct.pack("ii", 1, 0)

_SWITCHING = 101  # which is an answer


@dataclass(slots=True)
class Underway:
    """What is known of a call before it ends: on which connection it is, and its answer's head."""

    is_new: bool = False
    response: aiohttp.ClientResponse | None = None


UNDERWAY: ContextVar[Underway] = ContextVar("call")
"""The call of a task, which is told that a connection is made for it. aiohttp's tracing tells as
much, and takes a third of the time of each call."""


class TooManyInterim(aiohttp.ClientError):
    """The endpoint does not come to its answer."""


def limit_receipt(connection: socket.socket) -> None:
    """Have a connection take little at a time; answers are small."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AT_ONCE)


class Connector(aiohttp.TCPConnector):
    """Opens and keeps connections as its base does, with bounds that the base does not have."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        """`settings` are those of the base."""
        super().__init__(**settings)
        self._factory = cast("partial[ResponseHandler]", partial(_Answers, loop=self._loop))

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # as in the base
    ) -> ResponseHandler:
        UNDERWAY.get().is_new = True
        return await super()._create_connection(req, traces, timeout)


class _Answers(ResponseHandler):
    """Reads the answers of one connection."""

    _interim = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take an answer. A flood of interim ones would fill the memory faster than it is read."""
        code = data[0].code
        if code < 200 and code != _SWITCHING:
            self._interim += 1
        elif self._interim <= _INTERIM:
            self._interim = 0
        if self._interim <= _INTERIM:
            super().feed_data(data, size)
        elif self.exception() is None:
            self.set_exception(TooManyInterim())

    def close(self) -> None:
        """Close the connection, and reset it where a rest is unsent.

        The base waits until that is sent: with an endpoint that never reads, for ever. So does the
        system with what it was given.
        """
        transport = self.transport
        if transport is not None and transport.get_write_buffer_size():
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOTHING_LINGERS)
            self.abort()
        else:
            super().close()
