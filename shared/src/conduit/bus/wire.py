"""What RabbitMQ delivers to our consumers, taken off the wire before aiormq sees it.

aiormq reads each frame in three awaits and hands it over a queue to the channel's task, and
aio-pika makes two tasks of each message: a dispatcher spent half of its time there. So our reader
of the connection picks the frames that deliver to our consumers out of what comes, and passes on
all else: connection and channels, their opening and closing, confirms, and what comes back after a
loss remain aiormq's and aio-pika's.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

from conduit.bus import frames
from conduit.bus.deliveries import Channel, Partial, Take

_KINDS = frozenset({frames.METHOD, frames.HEADER, frames.BODY, frames.HEARTBEAT})
_ENDS_CHANNEL = frozenset({frames.CHANNEL_CLOSE, frames.CHANNEL_CLOSE_OK})

_ALIVE = 1.0
"""Seconds, at least, between two signs of life that aiormq gets for what it does not see."""


class Wire(TransportFactory):
    """Makes the connections of one bus. Who takes what is remembered over all of them."""

    def __init__(self) -> None:
        self._takers: dict[bytes, Take] = {}

    def attach(self, consumer_tag: str, take: Take) -> None:
        """Have what is delivered to this consumer taken, from the first message on."""
        self._takers[consumer_tag.encode()] = take

    def detach(self, consumer_tag: str) -> None:
        """Forget a consumer that has come to nothing."""
        del self._takers[consumer_tag.encode()]

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
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda: protocol, str(url.host), url.port or 0, ssl=tls, **options
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class Reader(asyncio.StreamReader):
    """One connection's reader. aiormq reads from it what is not for our consumers."""

    def __init__(self, takers: Mapping[bytes, Take]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._takers = takers
        self._channels: dict[int, Channel] = {}
        self._partial: dict[int, Partial] = {}  # by channel: its frames come one after another
        self._rest: list[bytes] = []  # pieces of a frame that has not come as a whole
        self._held = 0  # their octets
        self._wanted = 0  # octets with which one can go on
        self._foreign = False
        self._alive = 0.0

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, to which acknowledgements are written too."""
        super().set_transport(transport)
        self._transport_of_acks = cast(asyncio.WriteTransport, transport)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # a socket gives octets
        """Take what has come from the broker."""
        if self._rest:
            self._rest.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return
            data = self._give_up_rest()
        done = 0 if self._foreign else self._take(data)
        if self._foreign:
            super().feed_data(data[done:])
        elif done < len(data):
            self._rest.append(data[done:])
            self._held = len(data) - done

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
            return self._begins_delivery(number, data, start)
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

    def _begins_delivery(self, number: int, data: bytes, start: int) -> bool:
        deliver = frames.deliver_of(data, start)
        if deliver is None:
            if frames.method_id(data, start) in _ENDS_CHANNEL:
                self._close(number)
            return False
        take = self._takers.get(deliver.consumer_tag)
        if take is None:
            return False
        channel = self._channels.get(number)
        if channel is None:
            channel = self._channels[number] = Channel(number, self._transport_of_acks)
        channel.delivered(deliver.number)
        self._partial[number] = Partial(channel, deliver, take)
        return True

    def _close(self, number: int) -> None:
        self._partial.pop(number, None)
        channel = self._channels.pop(number, None)
        if channel is not None:
            channel.close()

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
        for number in list(self._channels):
            self._close(number)
        if self._rest:  # nothing may be fed twice, at the end and at the loss after it
            super().feed_data(self._give_up_rest())
