"""Benchmark of the bus's part of a dispatcher: microseconds of CPU for each message.

    python -m tests.load.consuming [--rounds 200]

The frames of 200 deliveries of 4 KB mails, as RabbitMQ sends them, go into a connection's reader in
pieces as a socket gives them, on the loop that the services run on. `taken off the wire`: nothing
is done with a message; `and acknowledged`: a consumer hands it to a handler that does nothing;
`and read`: the handler reads the event. `published`: as many messages are published at a time, and
confirmed at once. No broker takes part; `read` and `written` are an event's alone. Each figure is
of many short rounds, all kinds in turn, so that it holds on a machine that others use too.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

import uvloop
from aiormq import spec
from pamqp.frame import marshal

from conduit.bus import frames
from conduit.bus.connection import Bus
from conduit.bus.consumer import Consumer, Done, Incoming, Outcome
from conduit.bus.deliveries import Delivery, Take
from conduit.bus.outgoing import Outgoing
from conduit.bus.packets import headers_of
from conduit.bus.publisher import Publisher
from conduit.bus.wire import Reader
from conduit.events import MailAccepted, Packet, decode, encode
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from tests.load.signed_mail import HELO, SENDER, Signer

MESSAGES = 200
SIZE = 4096
PIECE = 64 * 1024
"""Octets that a socket gives at a time."""

_CHANNEL = 3
_LARGEST = 128 * 1024  # octets of a frame
_TAG = "conduit.0123456789abcdef0123456789abcdef"


class Transport:
    """Takes what is written, and counts how much that is."""

    def __init__(self) -> None:
        self.octets = 0

    def write(self, octets: bytes) -> None:
        """Take octets."""
        self.octets += len(octets)

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def pause_reading(self) -> None:
        """Nothing comes by itself."""


class Subscribed:
    """What stands in the place of a bus: keeps who takes what is delivered."""

    take: Take

    async def consume(self, _queue: str, take: Take, *, prefetch: int) -> None:
        """Keep who takes it."""
        assert prefetch == MESSAGES
        self.take = take


class Opened:
    """What stands in the place of a bus: has one channel open."""

    publish_timeout = 10.0

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def channel(self) -> int:
        """Return its number."""
        return _CHANNEL

    async def outgoing(self, channel: int) -> Outgoing:
        """Return what publishes on it."""
        return self._reader.outgoing(channel, _LARGEST)


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    found = uvloop.run(measured(parser.parse_args().rounds))
    print(f"{MESSAGES} messages of {SIZE} octets a round; CPU in µs for one of them")
    print(f"{'':24}{'min':>10}{'median':>10}")
    for name, times in found.items():
        print(f"{name:24}{min(times):>10.2f}{statistics.median(times):>10.2f}")


async def measured(rounds: int) -> Mapping[str, Sequence[float]]:
    """Return the times of each kind, by its name."""
    events = [_event() for _ in range(MESSAGES)]
    pieces = _pieces(b"".join(_frames(n, event) for n, event in enumerate(events, start=1)))
    packets = [encode(event) for event in events]

    async def written() -> None:
        for event in events:
            encode(event)

    async def read() -> None:
        for packet in packets:
            decode(packet)

    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "taken off the wire": lambda: _taken(pieces),
        "and acknowledged": lambda: _handled(pieces, lambda _packet: None),
        "and read": lambda: _handled(pieces, decode),
        "published": lambda: _published(packets),
        "read": read,
        "written": written,
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            begun = time.process_time_ns()
            await kind()
            times[name].append((time.process_time_ns() - begun) / MESSAGES / 1000)
    return times


async def _taken(pieces: Sequence[bytes]) -> None:
    taken: list[Delivery] = []
    await _fed(pieces, taken.append, Transport())
    assert len(taken) == MESSAGES


async def _handled(pieces: Sequence[bytes], work: Callable[[Packet], object]) -> None:
    subscribed, transport = Subscribed(), Transport()
    handled: list[Packet] = []
    all_handled = asyncio.Event()

    async def handle(incoming: Incoming) -> Outcome:
        work(incoming.packet)
        handled.append(incoming.packet)
        if len(handled) == MESSAGES:
            all_handled.set()
        return Done()

    consumer = Consumer(
        cast(Bus, subscribed), cast(Publisher, None), "queue", handle, prefetch=MESSAGES
    )
    await consumer.start()
    await _fed(pieces, subscribed.take, transport)
    await all_handled.wait()
    await asyncio.sleep(0)  # acknowledgements are written at the end of the turn
    assert transport.octets


async def _published(packets: Sequence[Packet]) -> None:
    reader = _reader({}, Transport())
    reader.feed_data(marshal(spec.Confirm.SelectOk(), _CHANNEL))
    publisher = Publisher(cast(Bus, Opened(reader)))
    await publisher.open()
    publishes = asyncio.gather(*(publisher.publish(packet, "deliveries") for packet in packets))
    await asyncio.sleep(0)  # each has begun
    await asyncio.sleep(0)  # all are written
    reader.feed_data(marshal(spec.Basic.Ack(len(packets), multiple=True), _CHANNEL))
    await publishes


async def _fed(pieces: Sequence[bytes], take: Take, transport: Transport) -> None:
    """Have a new connection's reader read all, a piece in each turn of the loop."""
    reader = _reader({_TAG.encode(): take}, transport)
    for piece in pieces:
        reader.feed_data(piece)
        await asyncio.sleep(0)


def _reader(takers: Mapping[bytes, Take], transport: Transport) -> Reader:
    reader = Reader(takers)
    reader.set_transport(cast(asyncio.BaseTransport, transport))
    return reader


def _event() -> MailAccepted:
    mail = _MAIL
    return MailAccepted(
        delivery_id=new_id(Prefix.DELIVERY),
        message_id=new_id(Prefix.MESSAGE),
        webhook_id=new_id(Prefix.WEBHOOK),
        envelope=Envelope(SENDER, ("webhook-1@incoming.localhost",), HELO, "127.0.0.1"),
        received_at=utc_now(),
        size=len(mail),
        raw=mail,
        shared=False,
    )


def _frames(number: int, event: MailAccepted) -> bytes:
    packet = encode(event)
    size = len(packet.body)
    return b"".join(
        [
            marshal(spec.Basic.Deliver(_TAG, number, False, "conduit", "deliveries"), _CHANNEL),
            frames.header(
                _CHANNEL, size, headers_of(packet), type_=packet.kind, message_id=str(number)
            ),
            *frames.body(_CHANNEL, packet.body),
        ]
    )


def _pieces(octets: bytes) -> list[bytes]:
    return [octets[start : start + PIECE] for start in range(0, len(octets), PIECE)]


_MAIL = Signer().mail(SIZE)


if __name__ == "__main__":
    main()
