"""DATA: whatever octets come in whatever pieces, the mail is the same, and within bounds."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.model.verdict import Defer, Reason, Reject
from conduit_smtp_ingest.connection import ConnectionEnded
from conduit_smtp_ingest.data_reader import DataReader, Unread
from conduit_smtp_ingest.limits import Budget, Limits

LIMITS = Limits(
    hostname="mx.example",
    size=10_000,
    line=1_000,
    command_line=1_000,
    commands=1,
    errors=1,
    unknown=1,
    auth_failures=1,
    idle=1,
    total=1,
    data_rate=1,
    greeting_delay=0,
)
PLENTY = 1_000_000

# Pieces of which terminators, near-terminators and stuffed lines are made.
content = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"..", b"a", b"\x00", b"\xff"])
).map(b"".join)
cuts = st.lists(st.integers(min_value=1, max_value=7), max_size=60)


def pieces(octets: bytes, sizes: list[int]) -> list[bytes]:
    """Cut octets into pieces of these sizes, the last one of what is left."""
    found, start = [], 0
    for size in sizes:
        found.append(octets[start : start + size])
        start += size
    return [piece for piece in [*found, octets[start:]] if piece]


class Stream:
    """What a client sends, piece by piece, and then nothing more."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self._more = asyncio.Event()
        self.ended = False

    def send(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._more.set()

    async def chunk(self) -> bytes:
        while not self._pieces and not self.ended:
            await self._more.wait()
            self._more.clear()
        if not self._pieces:
            raise ConnectionEnded("the client has closed the connection")
        return self._pieces.pop(0)

    def put_back(self, octets: bytes) -> None:
        self._pieces.insert(0, octets)

    def rest(self) -> bytes:
        return b"".join(self._pieces)


def no_matter(_octets: int) -> None:
    """Nobody asks how far it is."""


async def read(
    sent: list[bytes], limits: Limits = LIMITS, budget: Budget | None = None
) -> tuple[bytes | Unread, bytes]:
    """Read a mail that comes in these pieces; return it, and what is left to be read."""
    stream = Stream(*sent)
    stream.ended = True
    data = DataReader(limits, budget or Budget(PLENTY))
    try:
        return await data.read(stream, no_matter), stream.rest()
    finally:
        data.release()


def expected(octets: bytes) -> tuple[bytes, bytes] | None:
    """RFC 5321 §4.5.2, line by line: the mail and what follows it, None when it has no end."""
    mail, rest = b"", octets
    while (end := rest.find(b"\r\n")) >= 0:
        line, rest = rest[: end + 2], rest[end + 2 :]
        if line == b".\r\n":
            return mail, rest
        mail += line.removeprefix(b".")
    return None


@given(content, content, cuts)
async def test_it_reads_what_a_simple_reader_reads(
    mail: bytes, following: bytes, sizes: list[int]
) -> None:
    octets = mail + b"\r\n.\r\n" + following
    wanted = expected(octets)
    assert wanted is not None
    assert await read(pieces(octets, sizes)) == wanted


@given(content, cuts)
async def test_a_mail_without_an_end_is_none(mail: bytes, sizes: list[int]) -> None:
    budget = Budget(PLENTY)
    if expected(mail) is None:
        with pytest.raises(ConnectionEnded):
            await read(pieces(mail, sizes), budget=budget)
    assert budget.take(PLENTY)


@given(content, cuts, st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
async def test_the_bounds_hold_however_it_comes(
    mail: bytes, sizes: list[int], size: int, memory: int, line: int
) -> None:
    octets = mail + b"\r\n.\r\n"
    wanted = expected(octets)
    assert wanted is not None
    budget = Budget(memory)
    read_, rest = await read(pieces(octets, sizes), replace(LIMITS, size=size, line=line), budget)
    if isinstance(read_, bytes):
        assert read_ == wanted[0]
        assert len(read_) <= size
    # What was sent, up to its end, is never more than this, and then no bound is met.
    if memory >= 2 + len(octets) and line >= len(octets) and len(wanted[0]) <= size:
        assert read_ == wanted[0]
    assert rest == wanted[1]
    assert budget.take(memory)


@pytest.mark.parametrize("stuffing", [b"", b"."])
@pytest.mark.parametrize("chunk", [1, 7, 64, 100_000])
async def test_size_at_the_limit_and_over(stuffing: bytes, chunk: int) -> None:
    limits = replace(LIMITS, size=1_000)
    line = b"." + b"x" * 17 + b"\r\n"
    octets = (b"." + line if stuffing else b"x" + line[1:]) * 50
    sizes = [chunk] * (len(octets) // chunk)
    mail, _ = await read(pieces(octets + b".\r\n", sizes), limits)
    assert isinstance(mail, bytes)
    assert len(mail) == 1_000
    mail, _ = await read(pieces(b"x" + octets + b".\r\n", sizes), limits)
    assert mail == Unread(Reason.TOO_LARGE)


@pytest.mark.parametrize("chunk", [1, 7, 64, 100_000])
@pytest.mark.parametrize("before", [b"", b"y\r\n", b"y" * 37 + b"\r\n"])
async def test_a_line_at_the_limit_and_over(before: bytes, chunk: int) -> None:
    limits = replace(LIMITS, line=100)
    for extra, taken in ((b"", True), (b"x", False)):
        octets = before + extra + b"x" * 98 + b"\r\nz\r\n.\r\n"
        mail, _ = await read(pieces(octets, [chunk] * (len(octets) // chunk)), limits)
        assert isinstance(mail, bytes) == taken
        assert taken or mail == Unread(Reason.LINE_TOO_LONG)


async def test_the_first_bound_that_is_met_is_the_reason() -> None:
    limits = replace(LIMITS, line=100, size=1_000)
    mail, rest = await read([b"x" * 200, b"x\r\n" * 1_000, b"\r\n.\r\nNOOP\r\n"], limits)
    assert mail == Unread(Reason.LINE_TOO_LONG)
    assert rest == b"NOOP\r\n"


async def test_memory_is_taken_while_a_mail_is_read_and_until_its_release() -> None:
    budget, stream = Budget(1_000), Stream()
    data = DataReader(LIMITS, budget)
    reading = asyncio.ensure_future(data.read(stream, no_matter))
    stream.send(b"x" * 600)
    await asyncio.sleep(0)
    assert not budget.take(500)
    stream.send(b"\r\n.\r\n")
    assert await reading == b"x" * 600 + b"\r\n"
    assert not budget.take(500)
    data.release()
    assert budget.take(1_000)


async def test_while_large_mails_hold_their_part_small_ones_are_read() -> None:
    budget = Budget(8 * PLENTY)
    roomy = replace(LIMITS, size=9 * PLENTY, line=9 * PLENTY)
    held = 0
    while budget.take(PLENTY // 8, held):
        held += PLENTY // 8
    large, _ = await read([b"x" * (PLENTY // 8)] * 16 + [b"\r\n.\r\n"], roomy, budget)
    assert large == Unread(Reason.NO_MEMORY)
    small, _ = await read([b"x" * 1_000 + b"\r\n.\r\n"], roomy, budget)
    assert small == b"x" * 1_000 + b"\r\n"


async def test_want_of_memory_gives_back_what_was_taken() -> None:
    budget, stream = Budget(1_000), Stream()
    data = DataReader(replace(LIMITS, line=10_000), budget)
    reading = asyncio.ensure_future(data.read(stream, no_matter))
    for _ in range(3):
        stream.send(b"x" * 600)
        await asyncio.sleep(0)
    assert budget.take(1_000)
    stream.send(b"\r\n.\r\n")
    assert await reading == Unread(Reason.NO_MEMORY)


async def test_a_reader_that_is_cancelled_gives_its_memory_back() -> None:
    budget, stream = Budget(1_000), Stream()
    reading = asyncio.ensure_future(DataReader(LIMITS, budget).read(stream, no_matter))
    stream.send(b"x" * 600)
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert budget.take(1_000)


async def test_progress_is_told_with_each_chunk() -> None:
    stream, told = Stream(*[b"x\r\n" * 100] * 3, b"..\r\n.\r\n"), list[int]()
    await DataReader(LIMITS, Budget(PLENTY)).read(stream, told.append)
    assert told == [298, 598, 898]


def test_only_want_of_memory_passes() -> None:
    assert Unread(Reason.NO_MEMORY).verdict == Defer(Reason.NO_MEMORY)
    assert Unread(Reason.TOO_LARGE).verdict == Reject(Reason.TOO_LARGE)
    assert Unread(Reason.LINE_TOO_LONG).verdict == Reject(Reason.LINE_TOO_LONG)
