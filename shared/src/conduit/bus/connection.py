"""The connection to RabbitMQ, which comes back by itself, and its errors told in our own terms."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from aio_pika import RobustConnection
from aio_pika.abc import AbstractChannel
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError

from conduit.bus.topology import declare
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

    def __init__(self, urls: Sequence[str]) -> None:
        first, *others = (
            make_url(url, heartbeat=HEARTBEAT, reconnect_interval=1, fail_fast=0) for url in urls
        )
        super().__init__(first)
        self._others = deque(others)

    async def _on_connection_close(self, closing: "asyncio.Future[Any]") -> None:
        """Turn to the next node; aio-pika calls this for a failed try to connect, too."""
        self._others.append(self.url)
        self.url = self._others.popleft()
        await super()._on_connection_close(closing)


class Bus:
    """One connection to RabbitMQ, shared by what publishes and consumes in this process."""

    def __init__(self, connection: RobustConnection, publish_timeout: float) -> None:
        self._connection = connection
        self.publish_timeout = publish_timeout

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        transport = self._connection.transport
        return transport is not None and not transport.connection.is_closed

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


@asynccontextmanager
async def open_bus(settings: BusSettings) -> AsyncIterator[Bus]:
    """Connect, waiting as long as RabbitMQ is away, and declare the topology.

    Not by `connect_robust`: given up while it waits, it leaves a task that nothing can end.
    """
    connection = _Connection(settings.amqp_urls)
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT / len(settings.amqp_urls))
        bus = Bus(connection, settings.publish_timeout)
        # Kept open and referenced, so that a broker that lost its disk gets its topology again.
        topology = await bus.channel()
        await declare(topology)
        yield bus
    finally:
        await connection.close()
