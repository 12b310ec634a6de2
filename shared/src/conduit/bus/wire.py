"""What RabbitMQ delivers to our consumers and confirms to our publishers, taken off the wire.

aiormq reads each frame in three awaits and hands it over a queue to the channel's task, and
aio-pika makes two tasks of each message: a dispatcher spent half of its time there. So our reader
of the connection picks the frames that deliver to our consumers, and those that tell of what we
published, out of what comes, and passes on all else: connection and channels, their opening and
closing, and what comes back after a loss remain aiormq's and aio-pika's.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

from conduit.bus import frames
from conduit.bus.deliveries import Channel, ChannelLost, Partial, Take
from conduit.bus.frames import Deliver
from conduit.bus.outgoing import Outgoing, Returned

_KINDS = frozenset({frames.METHOD, frames.HEADER, frames.BODY, frames.HEARTBEAT})
_ENDS_CHANNEL = frozenset({frames.CHANNEL_CLOSE, frames.CHANNEL_CLOSE_OK})
_CONFIRMS = frozenset({frames.BASIC_ACK, frames.BASIC_NACK})

_ALIVE = 1.0
"""Seconds, at least, between two signs of life that aiormq gets for what it does not see."""


class Wire(TransportFactory):
    """Makes the connections of one bus. Who takes what is remembered over all of them."""

    def __init__(self) -> None:
        self._takers: dict[bytes, Take] = {}
        self._reader: Reader | None = None  # the newest connection's; those before are lost

    @property
    def connected(self) -> bool:
        """Whether there is a connection; that it is lost is seen here first."""
        return self._reader is not None and not self._reader.lost

    def attach(self, consumer_tag: str, take: Take) -> None:
        """Have what is delivered to this consumer taken, from the first message on."""
        self._takers[consumer_tag.encode()] = take

    def detach(self, consumer_tag: str) -> None:
        """Forget a consumer that has come to nothing."""
        del self._takers[consumer_tag.encode()]

    def outgoing(self, channel: int, most: int) -> Outgoing:
        """Return what publishes on this channel, bodies of at most so many octets in a frame.

        Nobody else may publish on it. Raise ChannelLost when it is not open.
        """
        if self._reader is None:
            raise ChannelLost("there is no connection")
        return self._reader.outgoing(channel, most)

    async def create(
        self,
        url: URL,
        **options: Any,  # noqa: ANN401 (those of create_connection, which the URL may have)
    ) -> tuple["Reader", asyncio.StreamWriter]:
        """Connect, for aiormq."""
        provider = cast(SSLContextProvider, options.pop("ssl_context_provider"))
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = Reader(self._takers)
        protocol = _Protocol(reader)
        transport, _ = await loop.create_connection(
            lambda: protocol, str(url.host), url.port or 0, ssl=tls, **options
        )
        self._reader = reader
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells those who publish, too, when the broker reads too slowly."""

    def __init__(self, reader: "Reader") -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._publishing = reader

    def pause_writing(self) -> None:
        """Learn that enough octets wait for the broker."""
        super().pause_writing()
        self._publishing.hold()

    def resume_writing(self) -> None:
        """Learn that most of them are gone."""
        super().resume_writing()
        self._publishing.release()


class Reader(asyncio.StreamReader):
    """One connection's reader. aiormq reads from it what neither consumers nor publishers take."""

    def __init__(self, takers: Mapping[bytes, Take]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._takers = takers
        self._channels: dict[int, Channel] = {}
        self._confirming: set[int] = set()  # the channels on which the broker confirms
        self._outgoing: dict[int, Outgoing] = {}
        self._held = False
        # By channel: a message's frames come one after another.
        self._partial: dict[int, Partial | Returned] = {}
        self._rest: list[bytes] = []  # pieces of a frame that has not come as a whole
        self._pending = 0  # their octets
        self._wanted = 0  # octets with which one can go on
        self._foreign = False
        self._alive = 0.0
        self.lost = False

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, to which acknowledgements and publishes are written too."""
        super().set_transport(transport)
        self._to_broker = cast(asyncio.WriteTransport, transport)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # a socket gives octets
        """Take what has come from the broker."""
        if self._rest:
            self._rest.append(data)
            self._pending += len(data)
            if self._pending < self._wanted:
                return
            data = self._give_up_rest()
        done = 0 if self._foreign else self._take(data)
        if self._foreign:
            super().feed_data(data[done:])
        elif done < len(data):
            self._rest.append(data[done:])
            self._pending = len(data) - done

    def _give_up_rest(self) -> bytes:
        """Return what was left of the last frame, and forget it."""
        rest = b"".join(self._rest)
        self._rest.clear()
        return rest

    def _take(self, data: bytes) -> int:
        """Go through whole frames, pass on what is not ours, and return how far they reach."""
        passed = position = 0
        end, ours = len(data), False
        while True:
            start = position + frames.PREFIX.size
            if start > end:
                self._wanted = frames.PREFIX.size
                break
            kind, channel, size = frames.PREFIX.unpack_from(data, position)
            after = start + size + 1
            if kind not in _KINDS or (after <= end and data[after - 1] != frames.END):
                self._foreign = True  # a broker of another protocol: aiormq says so in its way
                break
            if after > end:
                self._wanted = after - position
                break
            if self._is_ours(kind, channel, data, start, after - 1):
                if passed < position:
                    super().feed_data(data[passed:position])
                passed, ours = after, True
            position = after
        if passed < position:
            super().feed_data(data[passed:position])
        if ours:
            self._tell_alive()
        return position

    def _is_ours(self, kind: int, number: int, data: bytes, start: int, end: int) -> bool:
        """Take a frame with this payload if it belongs to a delivery to a consumer of ours."""
        if kind == frames.METHOD:
            return self._takes_method(number, data, start)
        partial = self._partial.get(number)
        if partial is None:
            return False
        if kind == frames.HEADER:
            complete = partial.describe(frames.properties_of(data, start))
        else:
            complete = partial.fill(data[start:end])
        if complete:
            del self._partial[number]
            partial.hand_over()
        return True

    def _takes_method(self, number: int, data: bytes, start: int) -> bool:
        deliver = frames.deliver_of(data, start)
        if deliver is not None:
            return self._begins_delivery(number, deliver)
        method = frames.method_id(data, start)
        if method in _ENDS_CHANNEL:
            self._close(number)
        elif method == frames.CONFIRM_SELECT_OK:
            self._confirming.add(number)
        elif (outgoing := self._outgoing.get(number)) is not None:
            return self._tells_of(outgoing, number, method, data, start)
        return False

    def _begins_delivery(self, number: int, deliver: Deliver) -> bool:
        take = self._takers.get(deliver.consumer_tag)
        if take is None:
            return False
        channel = self._channels.get(number)
        if channel is None:
            channel = self._channels[number] = Channel(number, self._to_broker)
        channel.delivered(deliver.number)
        self._partial[number] = Partial(channel, deliver, take)
        return True

    def _tells_of(
        self, outgoing: Outgoing, number: int, method: tuple[int, int], data: bytes, start: int
    ) -> bool:
        """Take the broker's word on what was published."""
        if method == frames.BASIC_RETURN:
            self._partial[number] = Returned(outgoing)
            return True
        if method not in _CONFIRMS:
            return False
        published, multiple = frames.confirm_of(data, start)
        if method == frames.BASIC_ACK:
            outgoing.confirmed(published, multiple=multiple)
        else:
            outgoing.refused(published, multiple=multiple)
        return True

    def outgoing(self, number: int, most: int) -> Outgoing:
        """Return what publishes on a channel until it is closed."""
        found = self._outgoing.get(number)
        if found is None:
            if number not in self._confirming:
                raise ChannelLost("the channel is not open")
            found = Outgoing(number, self._to_broker, most, held=self._held)
            self._outgoing[number] = found
        return found

    def hold(self) -> None:
        """Have nothing more published until `release`."""
        self._held = True
        for outgoing in self._outgoing.values():
            outgoing.hold()

    def release(self) -> None:
        """Have it go on."""
        self._held = False
        for outgoing in self._outgoing.values():
            outgoing.release()

    def _close(self, number: int) -> None:
        self._partial.pop(number, None)
        self._confirming.discard(number)
        channel = self._channels.pop(number, None)
        if channel is not None:
            channel.close()
        outgoing = self._outgoing.pop(number, None)
        if outgoing is not None:
            outgoing.close()

    def _tell_alive(self) -> None:
        """Have aiormq see that frames come: RabbitMQ sends no heartbeats beside them."""
        now = asyncio.get_running_loop().time()
        if now - self._alive >= _ALIVE:
            self._alive = now
            super().feed_data(frames.IDLE)

    def feed_eof(self) -> None:
        """Learn that nothing more comes."""
        self._lose()
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        """Learn that the connection has failed."""
        self._lose()
        super().set_exception(exc)

    def _lose(self) -> None:
        """Close all channels; aiormq finds what has come of the last frame."""
        self.lost = True
        for number in {*self._channels, *self._confirming}:
            self._close(number)
        if self._rest:  # nothing may be fed twice, at the end and at the loss after it
            super().feed_data(self._give_up_rest())
