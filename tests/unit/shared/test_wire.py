"""The reader of a connection: which frames it takes and passes on, and what is acknowledged."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.frame import FrameTypes, marshal, unmarshal
from pamqp.header import ContentHeader

from conduit.bus import frames
from conduit.bus.deliveries import ChannelLost, Delivery
from conduit.bus.wire import Reader

TAG = "conduit.test"
CHANNEL = 3


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closing = False

    def write(self, octets: bytes) -> None:
        self.written += octets

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def frames(self) -> list[tuple[int, bool]]:
        """Return number and `multiple` of each acknowledgement."""
        found = []
        while self.written:
            length, _, frame = unmarshal(bytes(self.written))
            assert isinstance(frame, spec.Basic.Ack)
            found.append((int(frame.delivery_tag or 0), bool(frame.multiple)))
            del self.written[:length]
        return found


class Connection:
    """A reader with one consumer of ours, and what has come of it."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.transport = Transport()
        self.reader = Reader({TAG.encode(): self.taken.append})
        self.reader.set_transport(cast(asyncio.BaseTransport, self.transport))

    async def acked(self) -> list[tuple[int, bool]]:
        """Return what was acknowledged in this turn of the loop."""
        await asyncio.sleep(0)
        return self.transport.frames()

    def passed(self) -> bytes:
        """Return what was passed on to aiormq, without the signs of life."""
        return bytes(self.reader._buffer).replace(frames.IDLE, b"")  # type: ignore[attr-defined]


def message(
    number: int, *bodies: bytes, tag: str = TAG, headers: FieldTable | None = None
) -> list[bytes]:
    """Return the frames of a delivery."""
    properties = spec.Basic.Properties(headers=headers, message_type="kind")
    parts: list[FrameTypes] = [
        spec.Basic.Deliver(tag, number, False, "conduit", "deliveries"),
        ContentHeader(body_size=sum(map(len, bodies)), properties=properties),
        *map(ContentBody, bodies),
    ]
    return [marshal(part, CHANNEL) for part in parts]


CONFIRM = marshal(spec.Basic.Ack(7), 1)
FOREIGN = b"".join(message(9, b"not ours", tag="another"))


@settings(deadline=None)
@given(st.lists(st.integers(0, 700), max_size=12))
def test_deliveries_are_taken_however_they_are_cut_and_all_else_is_passed_on(
    cuts: Sequence[int],
) -> None:
    first = message(1, b"a" * 30, b"b" * 20, headers={"conduit-meta": "{}"})
    # Frames of other channels may stand between those of one message.
    stream = b"".join(
        [CONFIRM, first[0], CONFIRM, *first[1:], FOREIGN, *message(2), CONFIRM, frames.IDLE]
    )

    async def read() -> Connection:
        connection = Connection()
        places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        for start, end in pairwise(places):
            connection.reader.feed_data(stream[start:end])
        return connection

    connection = asyncio.run(read())
    assert [delivery.number for delivery in connection.taken] == [1, 2]
    assert connection.taken[0].body == b"a" * 30 + b"b" * 20
    assert connection.taken[0].headers == {"conduit-meta": b"{}"}
    assert connection.taken[1].body == b""
    assert connection.passed() == CONFIRM + CONFIRM + FOREIGN + CONFIRM


async def test_what_is_first_in_order_is_acknowledged_at_once_and_the_rest_one_by_one() -> None:
    connection = Connection()
    for number in range(1, 7):
        connection.reader.feed_data(b"".join(message(number, b"x")))
    for index in (1, 0, 4):
        connection.taken[index].ack()
    assert await connection.acked() == [(2, True), (5, False)]
    connection.taken[2].ack()
    assert await connection.acked() == [(3, True)]
    for index in (3, 5):
        connection.taken[index].ack()
    assert await connection.acked() == [(6, True)]


async def test_what_was_given_back_is_not_acknowledged_by_what_follows() -> None:
    connection = Connection()
    for number in (1, 2):
        connection.reader.feed_data(b"".join(message(number, b"x")))
    connection.taken[0].nack()
    assert bytes(connection.transport.written) == frames.nack(CHANNEL, 1)
    connection.transport.written.clear()
    connection.taken[1].ack()
    assert await connection.acked() == [(2, True)]


@pytest.mark.parametrize(
    "closing", [spec.Channel.Close(406, "", 0, 0), spec.Channel.CloseOk()], ids=["by it", "by us"]
)
async def test_a_channel_that_was_opened_again_is_another_one(closing: FrameTypes) -> None:
    connection = Connection()
    connection.reader.feed_data(b"".join(message(1, b"old")))
    connection.taken[0].ack()
    connection.reader.feed_data(marshal(closing, CHANNEL))
    assert await connection.acked() == []
    connection.reader.feed_data(b"".join(message(1, b"new")))
    with pytest.raises(ChannelLost):
        connection.taken[0].ack()
    connection.taken[1].ack()
    assert await connection.acked() == [(1, True)]


async def test_nothing_is_acknowledged_on_a_connection_that_is_lost() -> None:
    connection = Connection()
    begun = message(2, b"x")
    connection.reader.feed_data(b"".join([*message(1, b"x"), begun[0][:5]]))
    connection.reader.feed_eof()
    with pytest.raises(ChannelLost):
        connection.taken[0].ack()
    assert connection.passed() == begun[0][:5], "aiormq sees that a frame broke off"


async def test_the_loss_of_a_connection_may_follow_its_end() -> None:
    connection = Connection()
    connection.reader.feed_data(message(2, b"x")[0][:5])
    connection.reader.feed_eof()
    connection.reader.feed_eof()
    connection.reader.set_exception(ConnectionResetError())
    assert connection.reader.at_eof() is False, "what came is still to be read"


async def test_aiormq_sees_signs_of_life_though_all_that_comes_is_taken() -> None:
    connection = Connection()
    connection.reader.feed_data(b"".join(message(1, b"x")))
    assert bytes(connection.reader._buffer) == frames.IDLE  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "octets", [b"AMQP\x00\x00\x09\x01", marshal(ContentBody(b"x"), 1)[:-1] + b"\0"]
)
async def test_what_is_no_frame_is_left_to_aiormq(octets: bytes) -> None:
    connection = Connection()
    connection.reader.feed_data(CONFIRM + octets)
    connection.reader.feed_data(b"and all that follows")
    assert connection.passed() == CONFIRM + octets + b"and all that follows"
