"""Messages as they come to our consumers, and the channel on which they are settled.

Acknowledgements of one turn of the event loop are one write. They are whole frames on a channel on
which nothing is published, so that they may stand between any others.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conduit.bus import frames
from conduit.bus.frames import Deliver, Properties


class ChannelLost(ConnectionError):
    """The channel that a message came on is closed: the broker gives it out again."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One message, to be acknowledged or given back once."""

    channel: "Channel" = field(repr=False)
    number: int
    redelivered: bool
    headers: Mapping[str, bytes | int]
    type: str | None
    correlation_id: str | None
    reply_to: str | None
    body: bytes = field(repr=False)

    @property
    def lost(self) -> bool:
        """Whether its channel is closed, so that the broker gives it out again."""
        return self.channel.closed

    def ack(self) -> None:
        """Acknowledge it at the end of this turn of the event loop, or raise ChannelLost."""
        self.channel.ack(self.number)

    def nack(self) -> None:
        """Give it back to its queue, or raise ChannelLost."""
        self.channel.nack(self.number)


Take = Callable[[Delivery], None]


class Channel:
    """A channel from its first delivery on until it is closed, and what is unsettled on it.

    One that is opened again is another one: it counts its deliveries anew, so that a number of the
    old one would acknowledge a message that nobody has handled.
    """

    def __init__(self, number: int, transport: asyncio.WriteTransport) -> None:
        self._number = number
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._unsettled: dict[int, bool] = {}  # in the order of delivery; True: to be acknowledged
        self._settled: list[int] = []
        self._closed = False

    def delivered(self, number: int) -> None:
        """Know of a delivery that has begun: those after it are not settled before it is."""
        self._unsettled[number] = False

    def ack(self, number: int) -> None:
        """Acknowledge a delivery at the end of this turn of the event loop."""
        self._check()
        if not self._settled:
            self._loop.call_soon(self._write_acks)
        self._settled.append(number)
        self._unsettled[number] = True

    def nack(self, number: int) -> None:
        """Give a delivery back to its queue."""
        self._check()
        del self._unsettled[number]
        self._transport.write(frames.nack(self._number, number))

    def close(self) -> None:
        """Settle nothing more."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether nothing can be settled any more."""
        return self._closed or self._transport.is_closing()

    def _check(self) -> None:
        if self.closed:
            raise ChannelLost("the channel was closed")

    def _write_acks(self) -> None:
        """Write what was settled: in one frame what comes first in order, the rest one by one.

        One frame for many spares the broker more than us. What waits for a slow endpoint stands
        before others, and must not hold their acknowledgements back.
        """
        settled, self._settled = self._settled, []
        if self.closed:
            return  # the broker gives them out again
        last = self._forget_first()
        written = [frames.ack(self._number, last, multiple=True)] if last else []
        for number in settled:
            if number > last:
                del self._unsettled[number]
                written.append(frames.ack(self._number, number))
        self._transport.write(b"".join(written))

    def _forget_first(self) -> int:
        """Forget what is settled up to the first that is not; return its last number, or 0."""
        first = []
        for number, settled in self._unsettled.items():
            if not settled:
                break
            first.append(number)
        for number in first:
            del self._unsettled[number]
        return first[-1] if first else 0


class Partial:
    """A delivery of which not all frames have come, and who takes it when they have."""

    __slots__ = ("_body", "_channel", "_deliver", "_left", "_properties", "_take")

    _properties: Properties

    def __init__(self, channel: Channel, deliver: Deliver, take: Take) -> None:
        self._channel = channel
        self._deliver = deliver
        self._take = take
        self._body: list[bytes] = []

    def describe(self, properties: Properties) -> bool:
        """Take the properties; return whether that was all, the message having no body."""
        self._properties = properties
        self._left = properties.size
        return self._left == 0

    def fill(self, octets: bytes) -> bool:
        """Take octets of the body; return whether that was all."""
        self._body.append(octets)
        self._left -= len(octets)
        return self._left <= 0

    def hand_over(self) -> None:
        """Give the message to who takes it."""
        _, number, redelivered = self._deliver
        _, headers, kind, correlation_id, reply_to, _ = self._properties
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._take(
            Delivery(
                self._channel, number, redelivered, headers, kind, correlation_id, reply_to, body
            )
        )
