"""Messages that go out on one channel, and the broker's word on each of them.

Whatever is published in one turn of the event loop, by whomever, is one write of whole frames, so
that they may stand between any others.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from conduit.bus import frames
from conduit.bus.frames import Properties
from conduit.errors import BrokerUnavailable

_WRITE = 1024 * 1024  # octets of bodies that are written at once, and one more body


@dataclass(frozen=True, slots=True)
class Message:
    """What is published, beside the body as the frames have it.

    `mandatory`: what no queue takes is to be returned.
    """

    exchange: str
    routing_key: str
    mandatory: bool
    type: str
    headers: Mapping[str, bytes | int]
    body: bytes
    correlation_id: str | None = None


class Outgoing:
    """What is published on a channel from when it is opened until it is closed.

    The broker counts what is published, and so numbers are given out in the order in which
    messages are written. What was given up before is not written.
    """

    def __init__(
        self, number: int, transport: asyncio.WriteTransport, most: int, *, held: bool
    ) -> None:
        """Publish at most so many octets of a body in one frame, and none yet if it is held."""
        self._number = number
        self._transport = transport
        self._most = most
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Message, asyncio.Future[None]]] = []
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}  # in the order of their numbers
        self._written = 0
        self.closed = False

    def publish(self, message: Message) -> "asyncio.Future[None]":
        """Write a message after this turn of the event loop; return what waits for its confirm."""
        if self.closed:
            raise BrokerUnavailable("the channel was closed")
        if not self._waiting:
            self._loop.call_soon(self._write)
        confirmed = self._loop.create_future()
        self._waiting.append((message, confirmed))
        return confirmed

    def hold(self) -> None:
        """Write nothing more until `release`: the broker reads too slowly."""
        self._held = True

    def release(self) -> None:
        """Write what waits, and all that comes."""
        self._held = False
        self._write()

    def _write(self) -> None:
        """Write what waits as long as it goes through."""
        while self._waiting and not self._held and not self.closed:
            if batch := self._next_batch():
                self._transport.write(b"".join(batch))

    def _next_batch(self) -> list[bytes]:
        """Return the frames of what waits, up to a bound; who gave up is left out."""
        parts: list[bytes] = []
        octets = taken = 0
        for message, confirmed in self._waiting:
            if octets > _WRITE:
                break
            taken += 1
            if not confirmed.done():
                self._written += 1
                self._unconfirmed[self._written] = confirmed
                parts += self._frames(message, str(self._written))
                octets += len(message.body)
        del self._waiting[:taken]
        return parts

    def _frames(self, message: Message, message_id: str) -> Iterator[bytes]:
        """Yield the frames of a message, which comes back under this id if no queue takes it."""
        yield frames.publish(
            self._number, message.exchange, message.routing_key, mandatory=message.mandatory
        )
        body = message.body
        yield frames.header(
            self._number,
            len(body),
            message.headers,
            type_=message.type,
            message_id=message_id,
            correlation_id=message.correlation_id,
        )
        for start in range(0, len(body), self._most):
            yield from frames.body(self._number, body[start : start + self._most])

    def confirmed(self, number: int, *, multiple: bool) -> None:
        """Learn that the broker has what was published under a number, or all up to it."""
        for confirmed in self._settled(number, multiple=multiple):
            confirmed.set_result(None)

    def refused(self, number: int, *, multiple: bool) -> None:
        """Learn that the broker could not take it."""
        for confirmed in self._settled(number, multiple=multiple):
            confirmed.set_exception(BrokerUnavailable("the broker refused the message"))

    def returned(self, message_id: str | None) -> None:
        """Learn that no queue takes it; the broker confirms it all the same, afterwards."""
        for confirmed in self._settled(int(message_id or 0), multiple=False):
            confirmed.set_exception(BrokerUnavailable("no queue takes the message"))

    def close(self) -> None:
        """Publish nothing more; whether the broker has what it did not confirm, nobody knows."""
        self.closed = True
        waiting = [confirmed for _, confirmed in self._waiting]
        self._waiting.clear()
        for confirmed in (*waiting, *self._settled(self._written, multiple=True)):
            if not confirmed.done():
                confirmed.set_exception(BrokerUnavailable("the channel was closed"))

    def _settled(self, number: int, *, multiple: bool) -> "Iterator[asyncio.Future[None]]":
        """Forget what was published under a number, or all up to it; yield who still waits."""
        numbers = [number]
        if multiple:
            numbers = []
            for each in self._unconfirmed:
                if each > number:
                    break
                numbers.append(each)
        for each in numbers:
            confirmed = self._unconfirmed.pop(each, None)
            if confirmed is not None and not confirmed.done():
                yield confirmed


class Returned:
    """A message that comes back because no queue takes it. Only its id matters."""

    __slots__ = ("_left", "_message_id", "_outgoing")

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._message_id: str | None = None
        self._left = 0

    def describe(self, properties: Properties) -> bool:
        """Take the properties; return whether that was all, the message having no body."""
        self._message_id = properties.message_id
        self._left = properties.size
        return self._left == 0

    def fill(self, octets: bytes) -> bool:
        """Pass over octets of the body; return whether that was all."""
        self._left -= len(octets)
        return self._left <= 0

    def hand_over(self) -> None:
        """Tell who waits for the confirm."""
        self._outgoing.returned(self._message_id)
