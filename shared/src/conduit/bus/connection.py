"""The connection to RabbitMQ, which comes back by itself, and its errors told in our own terms."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, cast
from uuid import uuid4

import aiormq
from aio_pika import RobustConnection
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError

from conduit.bus.deliveries import ChannelLost, Take
from conduit.bus.outgoing import Outgoing
from conduit.bus.topology import declare
from conduit.bus.wire import Wire
from conduit.errors import BrokerUnavailable
from conduit.settings import BusSettings

HEARTBEAT = 10  # seconds

CONNECT_TIMEOUT = 10.0
"""Seconds for one try to connect, so that a broker which froze in the handshake is tried again.

Of several nodes each has its share, so that one which is away without a word is soon passed over.
"""


class translated:  # noqa: N801 (a context manager, which each publish enters: no generator's cost)
    """Raise whatever a lost or frozen broker causes as BrokerUnavailable.

    A lost connection may reach us as a CancelledError; it is a cancellation of ours only when
    somebody asked for one.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Translate what was raised."""
        match error:
            case AMQPError() | OSError() | RuntimeError():  # TimeoutError is an OSError
                raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
            case asyncio.CancelledError():
                task = asyncio.current_task()
                if task is None or task.cancelling() == 0:
                    raise BrokerUnavailable("the connection was lost") from error


class _Connection(RobustConnection):
    """Comes back by itself, at the next of several nodes each time that one is lost or fails."""

    def __init__(self, urls: Sequence[str], wire: Wire) -> None:
        first, *others = (
            make_url(url, heartbeat=HEARTBEAT, reconnect_interval=1, fail_fast=0) for url in urls
        )
        super().__init__(first)
        self.kwargs["transport_factory"] = wire
        self._others = deque(others)

    async def _on_connection_close(self, closing: "asyncio.Future[Any]") -> None:
        """Turn to the next node; aio-pika calls this for a failed try to connect, too."""
        self._others.append(self.url)
        self.url = self._others.popleft()
        await super()._on_connection_close(closing)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer on a queue, which comes back with the connection until it is cancelled."""

    queue: AbstractQueue
    tag: str

    async def cancel(self) -> None:
        """Have no more delivered than what is on its way."""
        await self.queue.cancel(self.tag)


class Bus:
    """One connection to RabbitMQ, shared by what publishes and consumes in this process."""

    def __init__(self, connection: RobustConnection, wire: Wire, publish_timeout: float) -> None:
        self._connection = connection
        self._wire = wire
        self.publish_timeout = publish_timeout

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        transport = self._connection.transport
        return transport is not None and not transport.connection.is_closed and self._wire.connected

    @property
    def restored(self) -> bool:
        """Whether its channels can be used: they come back some moments after the connection."""
        return self._connection.connected.is_set()

    async def restore(self) -> None:
        """Return when they can."""
        await self._connection.ready()

    async def available(self) -> bool:
        """Whether there is a connection that can be used at this moment, as a readiness check."""
        return self.connected and self.restored

    async def channel(self, *, prefetch: int | None = None) -> AbstractChannel:
        """Open a channel with publisher confirms. An unroutable message is an error on it."""
        channel = self._connection.channel(on_return_raises=True)
        await channel.initialize()
        if prefetch is not None:
            await channel.set_qos(prefetch_count=prefetch)
        return channel

    async def outgoing(self, channel: AbstractChannel) -> Outgoing:
        """Return what publishes on a channel, on which nobody else may, until that is closed.

        Raise BrokerUnavailable when it is not open. One that is being restored is waited for.
        """
        if not self.connected:
            raise BrokerUnavailable("not connected")
        with translated():
            if not self.restored:
                async with asyncio.timeout(self.publish_timeout):
                    await self.restore()
            open_ = cast(aiormq.Channel, await channel.get_underlay_channel())
            if open_.is_closed:
                raise ChannelLost("the channel was closed")
            return self._wire.outgoing(open_.number, open_.max_content_size)

    async def consume(self, queue: str, take: Take, *, prefetch: int) -> Subscription:
        """Have what is in a queue taken, with `prefetch` unsettled at a time, on an own channel."""
        channel = await self.channel(prefetch=prefetch)
        tag = f"conduit.{uuid4().hex}"
        self._wire.attach(tag, take)
        try:
            subscription = Subscription(await channel.get_queue(queue), tag)
            await subscription.queue.consume(_not_taken, consumer_tag=tag)
        except BaseException:
            # Whoever tries again has a channel and a tag of its own.
            self._wire.detach(tag)
            await channel.close()
            raise
        return subscription


async def _not_taken(message: AbstractIncomingMessage) -> NoReturn:
    """Stand where aio-pika wants what is called for each message: `wire` takes them before it."""
    raise RuntimeError(f"a message of {message.consumer_tag} was not taken off the wire")


@asynccontextmanager
async def open_bus(settings: BusSettings) -> AsyncIterator[Bus]:
    """Connect, waiting as long as RabbitMQ is away, and declare the topology.

    Not by `connect_robust`: given up while it waits, it leaves a task that nothing can end.
    """
    wire = Wire()
    connection = _Connection(settings.amqp_urls, wire)
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT / len(settings.amqp_urls))
        bus = Bus(connection, wire, settings.publish_timeout)
        # Kept open and referenced, so that a broker that lost its disk gets its topology again.
        topology = await bus.channel()
        await declare(topology)
        yield bus
    finally:
        await connection.close()
