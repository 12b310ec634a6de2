"""A connection's octets: lines, chunks, what is written, the end; over a transport in memory."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_smtp_ingest.connection import READ_AHEAD, Connection, ConnectionEnded

MIB = 1024 * 1024


class Transport(asyncio.Transport):
    """Keeps what is written, and what it is told to do."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)
        self.writes: list[bytes] = []
        self._reading = True
        self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


class Wire:
    """A connection whose session is the test, and the client's side of it."""

    def __init__(self, **extra: Any) -> None:
        self.transport = Transport(**extra)
        self.connection = Connection(self._serve)
        self.connection.connection_made(self.transport)

    async def _serve(self, connection: Connection) -> None:
        assert connection is self.connection

    def send(self, octets: bytes) -> None:
        """Let octets come, as many at a time as the connection has room for."""
        while octets:
            room = memoryview(self.connection.get_buffer(-1))
            taken = min(len(room), len(octets))
            room[:taken] = octets[:taken]
            self.connection.buffer_updated(taken)
            octets = octets[taken:]

    async def line(self, limit: int = 100) -> bytes | None:
        """Return the next line, which must be there or come to an end."""
        return await asyncio.wait_for(self.connection.line(limit), 10)

    async def blocked(self, waiting: asyncio.Future[Any]) -> bool:
        """Whether something still waits when all that could go on has."""
        for _ in range(5):
            await asyncio.sleep(0)
        return not waiting.done()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    wire.connection.connection_lost(None)


async def test_lines_come_one_by_one_without_their_ends(wire: Wire) -> None:
    wire.send(b"EHLO a\r\nNOOP\nRSET\r\r\n\r\nQUIT\r\n")
    lines = [await wire.line() for _ in range(5)]
    assert lines == [b"EHLO a", b"NOOP", b"RSET", b"", b"QUIT"]
    assert wire.connection.buffered == b""


async def test_a_line_may_come_in_pieces(wire: Wire) -> None:
    reading = asyncio.ensure_future(wire.line())
    for piece in (b"NO", b"O", b"P\r"):
        wire.send(piece)
        assert await wire.blocked(reading)
    wire.send(b"\nQU")
    assert await reading == b"NOOP"
    assert wire.connection.buffered == b"QU"


@pytest.mark.parametrize("pieces", [1, 7, 10_000], ids="in pieces of {} octets".format)
async def test_a_line_over_the_limit_is_none_and_the_next_is_one(wire: Wire, pieces: int) -> None:
    limit = 50
    octets = b"x" * 48 + b"\r\n" + b"y" * 49 + b"\r\n" + b"z" * 5_000 + b"\r\nNOOP\r\n"
    reading = asyncio.ensure_future(_lines(wire, 4, limit))
    for start in range(0, len(octets), pieces):
        wire.send(octets[start : start + pieces])
        await asyncio.sleep(0)
    assert await reading == [b"x" * 48, None, None, b"NOOP"]


async def _lines(wire: Wire, count: int, limit: int) -> list[bytes | None]:
    return [await wire.line(limit) for _ in range(count)]


async def test_a_line_without_end_is_given_up(wire: Wire) -> None:
    reading = asyncio.ensure_future(wire.line())
    sent = 0
    while await wire.blocked(reading):
        assert wire.transport.is_reading()
        wire.send(b"x" * 10_000)
        sent += 10_000
    with pytest.raises(ConnectionEnded, match="a line without end"):
        await reading
    assert MIB < sent < 2 * MIB


async def test_a_chunk_is_all_that_has_come_and_may_be_put_back(wire: Wire) -> None:
    wire.send(b"DATA\r\nfirst")
    assert await wire.line() == b"DATA"
    assert await wire.connection.chunk() == b"first"
    waiting = asyncio.ensure_future(wire.connection.chunk())
    assert await wire.blocked(waiting)
    wire.send(b"second\r\nQUIT\r\n")
    assert await waiting == b"second\r\nQUIT\r\n"
    wire.send(b"NOOP\r\n")
    wire.connection.put_back(b"QUIT\r\n")
    assert wire.connection.buffered == b"QUIT\r\nNOOP\r\n"
    assert [await wire.line(), await wire.line()] == [b"QUIT", b"NOOP"]


async def test_octets_are_skipped_and_forgotten(wire: Wire) -> None:
    wire.send(b"PROXY\r\nEHLO a\r\nSTARTTLS\r\n")
    wire.connection.skip(7)
    assert await wire.line() == b"EHLO a"
    wire.connection.forget()
    assert wire.connection.buffered == b""
    wire.send(b"NOOP\r\n")
    assert await wire.line() == b"NOOP"


@given(st.lists(st.binary(max_size=12), max_size=12), st.lists(st.integers(1, 9), max_size=40))
def test_however_lines_come_they_are_the_same(lines: list[bytes], sizes: list[int]) -> None:
    clean = [line.replace(b"\n", b"").rstrip(b"\r") for line in lines]
    octets = b"".join(line + b"\r\n" for line in clean)

    async def read() -> list[bytes | None]:
        wire = Wire()
        reading = asyncio.ensure_future(_lines(wire, len(clean), 100))
        rest = octets
        for size in sizes:
            wire.send(rest[:size])
            rest = rest[size:]
            await asyncio.sleep(0)
        wire.send(rest)
        found = await reading
        wire.connection.connection_lost(None)
        return found

    assert asyncio.run(read()) == clean


async def test_what_came_before_the_end_is_read(wire: Wire) -> None:
    wire.send(b"NOOP\r\nQUI")
    assert wire.connection.eof_received()
    assert await wire.line() == b"NOOP"
    with pytest.raises(ConnectionEnded):
        await wire.line()


@pytest.mark.parametrize("lost", [False, True], ids=["half closed", "lost"])
async def test_who_waits_is_told_of_the_end(wire: Wire, lost: bool) -> None:
    waiting = asyncio.ensure_future(wire.line())
    assert await wire.blocked(waiting)
    if lost:
        wire.connection.connection_lost(ConnectionResetError())
    else:
        wire.connection.eof_received()
    with pytest.raises(ConnectionEnded):
        await waiting


async def test_inside_tls_a_half_closed_connection_is_closed() -> None:
    assert not Wire(ssl_object=object()).connection.eof_received()


async def test_replies_go_together_when_the_client_is_waited_for(wire: Wire) -> None:
    wire.send(b"MAIL\r\nRCPT\r\n")
    for _ in range(2):
        await wire.line()
        wire.connection.write(b"250 OK\r\n")
    assert wire.transport.writes == []
    waiting = asyncio.ensure_future(wire.line())
    assert await wire.blocked(waiting)
    assert wire.transport.writes == [b"250 OK\r\n250 OK\r\n"]
    wire.send(b"QUIT\r\n")
    assert await waiting == b"QUIT"


async def test_what_was_written_is_sent_at_the_close_and_nothing_after_it(wire: Wire) -> None:
    wire.connection.write(b"221 Bye\r\n")
    wire.connection.close()
    assert (wire.transport.writes, wire.transport.closed) == ([b"221 Bye\r\n"], True)
    wire.connection.write(b"250 OK\r\n")
    wire.connection.flush()
    assert wire.transport.writes == [b"221 Bye\r\n"]
    wire.connection.abort()
    assert wire.transport.aborted


async def test_to_a_client_that_is_gone_nothing_is_sent(wire: Wire) -> None:
    wire.connection.connection_lost(None)
    wire.connection.write(b"250 OK\r\n")
    wire.connection.flush()
    assert wire.transport.writes == []


async def test_before_tls_a_mute_connection_says_nothing(wire: Wire) -> None:
    wire.connection.mute()
    wire.connection.write(b"421 Timeout\r\n")
    wire.connection.close()
    assert (wire.transport.writes, wire.transport.closed) == ([], True)


async def test_a_client_that_is_quicker_than_the_end_of_the_handshake_pauses_tls_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is below TLS stays TLS's: paused by us, nobody would ever let it go on."""
    secured = Transport()
    with socket.socket() as connected:
        quick = Wire(socket=connected)

        async def start_tls(*_: Any, **__: Any) -> Transport:
            await asyncio.sleep(0)  # what came before is handed over first
            quick.send(b"x" * READ_AHEAD)
            return secured

        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", start_tls)
        monkeypatch.setattr(quick.transport, "get_protocol", lambda: None)
        await quick.connection.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), timeout=1)
    assert (quick.transport.is_reading(), secured.is_reading()) == (True, False)
    assert len(await quick.connection.chunk()) == READ_AHEAD
    waiting = asyncio.ensure_future(quick.connection.chunk())
    assert await quick.blocked(waiting)
    assert secured.is_reading()
    quick.send(b"y")
    assert await waiting == b"y"


async def test_a_client_that_sends_more_than_is_asked_for_is_kept_waiting(wire: Wire) -> None:
    wire.send(b"x" * (READ_AHEAD - 1))
    assert wire.transport.is_reading()
    wire.send(b"xx")
    assert not wire.transport.is_reading()
    assert len(await wire.connection.chunk()) == READ_AHEAD + 1
    assert not wire.transport.is_reading()
    waiting = asyncio.ensure_future(wire.connection.chunk())
    assert await wire.blocked(waiting)
    assert wire.transport.is_reading()
    wire.send(b"y")
    assert await waiting == b"y"


async def test_a_client_that_does_not_read_is_answered_when_it_does(wire: Wire) -> None:
    wire.connection.pause_writing()
    waiting = asyncio.ensure_future(wire.line())
    assert await wire.blocked(waiting)
    wire.send(b"NOOP\r\n")
    assert await wire.blocked(waiting)
    wire.connection.resume_writing()
    assert await waiting == b"NOOP"


async def test_a_client_that_leaves_without_reading_is_not_waited_for(wire: Wire) -> None:
    wire.connection.pause_writing()
    waiting = asyncio.ensure_future(wire.line())
    assert await wire.blocked(waiting)
    wire.connection.connection_lost(None)
    with pytest.raises(ConnectionEnded):
        await waiting


@pytest.mark.parametrize(
    ("peername", "ip"),
    [
        (("192.0.2.1", 4711), "192.0.2.1"),
        (("2001:db8::1", 4711, 0, 0), "2001:db8::1"),
        ("/run/smtp.sock", ""),
        (None, ""),
    ],
)
async def test_the_peer_has_an_address_or_none(peername: object, ip: str) -> None:
    connection = Wire(peername=peername).connection
    assert (connection.peer_ip, connection.tls_version) == (ip, None)
