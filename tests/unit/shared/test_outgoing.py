"""What is published on a channel: how it is written, and that each one learns its own outcome."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.frame import FrameTypes, marshal, unmarshal
from pamqp.header import ContentHeader

from conduit.bus import frames
from conduit.bus.deliveries import ChannelLost
from conduit.bus.outgoing import Message
from conduit.bus.wire import Reader, Wire
from conduit.errors import BrokerUnavailable

CHANNEL = 5
MOST = 10
MESSAGE = Message("conduit", "deliveries", True, "kind", {"meta": b"{}", "version": 1}, b"body")


class Transport:
    """Keeps what is written, each write by itself."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.writes.append(octets)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing comes by itself."""


class Connection:
    """A reader and a channel of it on which the broker confirms."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.reader = Reader({})
        self.reader.set_transport(cast(asyncio.BaseTransport, self.transport))
        self.say(spec.Confirm.SelectOk())
        self.outgoing = self.reader.outgoing(CHANNEL, MOST)

    def say(self, *parts: FrameTypes, channel: int = CHANNEL) -> None:
        """Have the broker send these."""
        self.reader.feed_data(b"".join(marshal(part, channel) for part in parts))

    def published(self, count: int) -> "Sequence[asyncio.Future[None]]":
        """Publish messages whose bodies are told by their numbers."""
        return [
            self.outgoing.publish(replace(MESSAGE, body=str(number).encode()))
            for number in range(1, count + 1)
        ]

    def passed(self) -> bytes:
        """Return what was passed on to aiormq."""
        return bytes(self.reader._buffer)  # type: ignore[attr-defined]


def read(octets: bytes) -> list[FrameTypes]:
    """Return the frames in some octets, all of this channel."""
    found = []
    while octets:
        length, channel, frame = unmarshal(octets)
        assert channel == CHANNEL
        found.append(frame)
        octets = octets[length:]
    return found


def bodies(writes: Sequence[bytes]) -> list[bytes]:
    """Return the bodies of what was written."""
    return [part.value for part in read(b"".join(writes)) if isinstance(part, ContentBody)]


async def turn() -> None:
    """Let what waits for the end of this turn of the loop be done."""
    await asyncio.sleep(0)


def outcomes(confirmed: "Sequence[asyncio.Future[None]]") -> list[bool | None]:
    """Return of each whether it is confirmed, None where that is not known yet."""
    return [future.exception() is None if future.done() else None for future in confirmed]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"", []),
        (b"x" * MOST, [b"x" * MOST]),
        (b"x" * MOST + b"y", [b"x" * MOST, b"y"]),
    ],
)
async def test_a_message_is_written_as_pamqp_reads_it(body: bytes, parts: list[bytes]) -> None:
    connection = Connection()
    numbers: dict[str, int] = {"version": 1, "faults": -(2**40), "begun": True}
    meta = '{"ü":1}'
    connection.outgoing.publish(
        Message(
            "conduit",
            "deliveries",
            True,
            "mail.accepted",
            {"meta": meta.encode(), **numbers},
            body,
            "correlation",
        )
    )
    await turn()
    [written] = connection.transport.writes
    method, header, *found = read(written)
    assert isinstance(method, spec.Basic.Publish)
    assert (method.exchange, method.routing_key) == ("conduit", "deliveries")
    assert (method.mandatory, method.immediate) == (True, False)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(body)
    assert {name: value for name, value in header.properties if value} == {
        "headers": {"meta": meta, **numbers},
        "delivery_mode": 2,
        "correlation_id": "correlation",
        "message_id": "1",
        "message_type": "mail.accepted",
    }
    assert [part.value for part in found if isinstance(part, ContentBody)] == parts
    assert len(found) == len(parts)


async def test_an_answer_is_not_mandatory() -> None:
    connection = Connection()
    connection.outgoing.publish(replace(MESSAGE, exchange="", routing_key="a", mandatory=False))
    await turn()
    method, header, _ = read(connection.transport.writes[0])
    assert isinstance(method, spec.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == ("", "a", False)
    assert isinstance(header, ContentHeader)
    assert header.properties.correlation_id is None


async def test_what_one_turn_publishes_is_one_write() -> None:
    connection = Connection()
    connection.published(3)
    assert connection.transport.writes == []
    await turn()
    assert len(connection.transport.writes) == 1
    assert bodies(connection.transport.writes) == [b"1", b"2", b"3"]


async def test_a_write_is_bounded() -> None:
    connection = Connection()
    for _ in range(3):
        connection.outgoing.publish(replace(MESSAGE, body=b"x" * 700_000))
    await turn()
    assert [len(write) > 1_400_000 for write in connection.transport.writes] == [True, False]


async def test_each_is_told_its_own_outcome() -> None:
    connection = Connection()
    confirmed = connection.published(6)
    await turn()
    connection.say(spec.Basic.Ack(2))
    assert outcomes(confirmed) == [None, True, None, None, None, None]
    connection.say(spec.Basic.Nack(3), spec.Basic.Ack(5, multiple=True))
    assert outcomes(confirmed) == [True, True, False, True, True, None]
    connection.say(spec.Basic.Nack(6, multiple=True))
    assert outcomes(confirmed)[5] is False
    assert all(isinstance(future.exception(), BrokerUnavailable | None) for future in confirmed)
    assert connection.passed() == marshal(spec.Confirm.SelectOk(), CHANNEL) + frames.IDLE


@pytest.mark.parametrize("body", [b"", b"1"])
async def test_what_no_queue_takes_is_in_doubt_though_it_is_confirmed(body: bytes) -> None:
    connection = Connection()
    confirmed = connection.published(2)
    await turn()
    came_back = ContentHeader(
        body_size=len(body), properties=spec.Basic.Properties(message_id="1", headers={"a": "b"})
    )
    parts: list[FrameTypes] = [spec.Basic.Return(312, "NO_ROUTE", "conduit", "nowhere"), came_back]
    connection.say(*parts, *([ContentBody(body)] if body else []), spec.Basic.Ack(2, multiple=True))
    assert outcomes(confirmed) == [False, True]


async def test_who_gave_up_is_not_written_and_takes_no_number() -> None:
    connection = Connection()
    confirmed = connection.published(3)
    confirmed[0].cancel()
    await turn()
    assert bodies(connection.transport.writes) == [b"2", b"3"]
    confirmed[1].cancel()
    connection.say(spec.Basic.Ack(1), spec.Basic.Ack(2))
    assert confirmed[2].exception() is None


async def test_when_all_gave_up_nothing_is_written() -> None:
    connection = Connection()
    for confirmed in connection.published(2):
        confirmed.cancel()
    await turn()
    assert connection.transport.writes == []


async def test_what_a_slow_broker_does_not_read_waits_here() -> None:
    connection = Connection()
    connection.reader.hold()
    confirmed = connection.published(2)
    await turn()
    assert connection.transport.writes == []
    confirmed[0].cancel()
    connection.reader.release()
    assert bodies(connection.transport.writes) == [b"2"]
    connection.published(1)
    await turn()
    assert bodies(connection.transport.writes) == [b"2", b"1"]


async def test_a_channel_that_is_opened_while_the_broker_is_slow_waits_too() -> None:
    connection = Connection()
    connection.reader.hold()
    connection.say(spec.Confirm.SelectOk(), channel=CHANNEL + 1)
    late = connection.reader.outgoing(CHANNEL + 1, MOST)
    late.publish(MESSAGE)
    await turn()
    assert connection.transport.writes == []
    connection.reader.release()
    assert len(connection.transport.writes) == 1


def closed_by_the_broker(connection: Connection) -> None:
    connection.say(spec.Channel.Close(406, "", 0, 0))


def lost(connection: Connection) -> None:
    connection.reader.feed_eof()


@pytest.mark.parametrize("close", [closed_by_the_broker, lost])
async def test_all_that_is_not_confirmed_is_in_doubt_when_the_channel_closes(
    close: Callable[[Connection], None],
) -> None:
    connection = Connection()
    confirmed = list(connection.published(2))
    await turn()
    connection.say(spec.Basic.Ack(1))
    confirmed += connection.published(1)
    close(connection)
    assert outcomes(confirmed) == [True, False, False]
    await turn()
    assert len(connection.transport.writes) == 1
    assert connection.outgoing.closed
    with pytest.raises(BrokerUnavailable):
        connection.outgoing.publish(MESSAGE)
    with pytest.raises(ChannelLost):
        connection.reader.outgoing(CHANNEL, MOST)


async def test_a_channel_that_was_opened_again_counts_anew() -> None:
    connection = Connection()
    connection.published(3)
    await turn()
    connection.say(spec.Channel.CloseOk(), spec.Confirm.SelectOk())
    again = connection.reader.outgoing(CHANNEL, MOST)
    assert again is not connection.outgoing
    confirmed = again.publish(MESSAGE)
    await turn()
    connection.say(spec.Basic.Ack(1))
    assert confirmed.exception() is None


async def test_confirms_of_a_channel_that_somebody_else_publishes_on_are_passed_on() -> None:
    connection = Connection()
    connection.say(spec.Confirm.SelectOk(), spec.Basic.Ack(1), channel=CHANNEL + 1)
    assert connection.passed().endswith(marshal(spec.Basic.Ack(1), CHANNEL + 1))


async def test_what_is_no_word_on_a_message_is_passed_on() -> None:
    connection = Connection()
    connection.published(1)
    await turn()
    connection.say(spec.Channel.Flow(active=True))
    assert connection.passed().endswith(marshal(spec.Channel.Flow(active=True), CHANNEL))


async def test_nothing_is_published_before_there_is_a_connection() -> None:
    with pytest.raises(ChannelLost):
        Wire().outgoing(CHANNEL, MOST)
