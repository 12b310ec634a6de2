"""A request and its answer on one connection, whose transport is the test's."""

import asyncio
import socket
import struct

import pytest

from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.http1 import Reply
from conduit_dispatcher.target import Endpoint
from tests.support.polling import eventually

HEAD = b"POST / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MIB = 1 << 20
LARGE = bytes(range(256)) * (4 * MIB // 256)
LATE = "no answer within 1 s"


class Line(asyncio.Transport):
    """A transport that takes what it is given, and may say that it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self.paused = False
        self.unsent = 0
        self.aborted = False
        self.socket = socket.socket()
        self.socket.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.socket if name == "socket" else default

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True


@pytest.fixture
async def line() -> Line:
    """What the connection stands on."""
    return Line()


@pytest.fixture
async def connection(line: Line) -> Connection:
    """A connection that has not been used."""
    connection = Connection(Endpoint(False, "a.example", 80), lambda _: None)
    connection.connection_made(line)
    return connection


async def begun(
    connection: Connection, line: Line, body: bytes = b"{}", within: float = 60
) -> asyncio.Task[Reply]:
    """Begin a call; return when its first octets have been written."""
    before = len(line.written)
    deadline = asyncio.get_running_loop().time() + within
    call = asyncio.create_task(connection.call(HEAD, body, deadline, LATE))
    await eventually(lambda: len(line.written) > before or call.done(), what="the call")
    return call


async def test_a_small_call_is_one_write(connection: Connection, line: Line) -> None:
    for _ in range(2):
        call = await begun(connection, line)
        assert line.written.pop() == HEAD + b"{}"
        connection.data_received(ANSWER)
        assert await call == Reply(200, "OK", {}, b"")
        assert connection.is_reusable


async def test_of_a_large_one_no_more_is_written_than_is_taken(
    connection: Connection, line: Line
) -> None:
    connection.pause_writing()
    call = await begun(connection, line, LARGE)
    pieces: list[bytes] = []
    while b"".join(pieces) != HEAD + LARGE:
        await eventually(lambda: line.written, what="the next piece")
        assert not call.done()
        assert 0 < sum(map(len, line.written)) < MIB
        pieces += line.written
        line.written.clear()
        connection.resume_writing()
        connection.pause_writing()
    connection.resume_writing()
    connection.data_received(ANSWER)
    assert (await call).status == 200
    assert connection.is_reusable


async def test_an_answer_ends_the_writing(connection: Connection, line: Line) -> None:
    connection.pause_writing()
    call = await begun(connection, line, LARGE)
    connection.data_received(ANSWER)
    assert (await call).status == 200
    assert not connection.is_reusable
    assert sum(map(len, line.written)) < MIB


async def test_a_connection_with_a_rest_unsent_is_not_used_again(
    connection: Connection, line: Line
) -> None:
    line.unsent = 1
    call = await begun(connection, line)
    connection.data_received(ANSWER)
    assert (await call).status == 200
    assert not connection.is_reusable


async def test_an_answer_that_does_not_come_in_time(connection: Connection, line: Line) -> None:
    call = await begun(connection, line, within=0.01)
    assert await call == Reply(failure=LATE)
    assert not connection.is_reusable
    connection.data_received(ANSWER)
    assert line.closing


async def test_what_is_no_answer_ends_the_call(connection: Connection, line: Line) -> None:
    call = await begun(connection, line)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
    why = "the endpoint's answer is not valid HTTP: Invalid character in Content-Length"
    assert await call == Reply(failure=why)
    assert not connection.is_reusable


async def test_of_one_that_begins_in_time_the_status_is_known(
    connection: Connection, line: Line
) -> None:
    call = await begun(connection, line)
    connection.data_received(b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhello")
    connection._give_up(LATE)
    reply = await call
    assert (reply.status, reply.body, reply.failure) == (404, b"hello", LATE)


async def test_an_answer_that_takes_too_much_is_not_read_on(
    connection: Connection, line: Line
) -> None:
    call = await begun(connection, line)
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    connection.data_received(b"x" * MIB)
    assert line.paused
    assert not call.done()
    connection._give_up(LATE)
    assert (await call).failure == LATE


async def test_what_is_closed_with_a_rest_unsent_is_reset(
    connection: Connection, line: Line
) -> None:
    line.unsent = 1
    with socket.socket() as opened:
        line.socket = opened
        connection.close()
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
    assert line.aborted


async def test_one_that_is_closed_below_is_closed(connection: Connection, line: Line) -> None:
    line.unsent = 1
    line.socket.close()
    connection.close()
    assert line.aborted
    connection.connection_lost(None)
    connection.close()


@pytest.mark.parametrize("data", [b"x", ANSWER])
async def test_who_speaks_unasked_is_left(connection: Connection, line: Line, data: bytes) -> None:
    connection.data_received(data)
    assert line.closing
    call = await begun(connection, line)
    connection.connection_lost(None)
    assert (await call).failure == "the endpoint sent something before it was asked"


async def test_whether_a_lost_call_may_be_repeated(connection: Connection, line: Line) -> None:
    call = await begun(connection, line)
    connection.data_received(ANSWER)
    await call
    call = await begun(connection, line)
    connection.connection_lost(ConnectionResetError())
    assert (await call).again


@pytest.mark.parametrize("begun_with", [b"", b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_and_when_not(connection: Connection, line: Line, begun_with: bytes) -> None:
    """When the connection is new, or something came."""
    if begun_with:
        call = await begun(connection, line)
        connection.data_received(ANSWER)
        await call
    call = await begun(connection, line)
    if begun_with:
        connection.data_received(begun_with)
    connection.connection_lost(None)
    reply = await call
    assert not reply.again
    assert reply.failure == "the endpoint closed the connection without an answer"


async def test_a_connection_that_is_gone_makes_no_call(connection: Connection, line: Line) -> None:
    connection.connection_lost(None)
    reply = await (await begun(connection, line))
    assert reply.failure == "the endpoint closed the connection without an answer"
    assert not reply.again
    assert line.written == []
