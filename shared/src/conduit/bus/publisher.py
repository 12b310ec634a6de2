"""Publishing: durable when `publish` returns, in doubt when it raises."""

import asyncio

from aio_pika import Message
from aio_pika.abc import AbstractExchange

from conduit.bus.connection import Bus, translated
from conduit.bus.packets import to_message
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable
from conduit.events import Packet


class Publisher:
    """Publishes packets, many at a time on one channel, each waiting for its own confirm."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._exchange: AbstractExchange | None = None
        self._default: AbstractExchange | None = None

    async def open(self) -> None:
        """Open the channel; it comes back with the connection."""
        with translated():
            channel = await self._bus.channel()
            self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            self._default = channel.default_exchange

    async def publish(self, packet: Packet, queue: str, *, faults: int = 0) -> None:
        """Return when the broker has the packet on disk; raise BrokerUnavailable when in doubt."""
        await self._send(self._exchange, to_message(packet, faults=faults), queue)

    async def reply(self, packet: Packet, reply_to: str, correlation_id: str | None) -> None:
        """Answer a request at the queue that it named.

        Not mandatory: RabbitMQ delivers to a direct reply-to queue, but calls it unroutable.
        """
        message = to_message(packet)
        message.correlation_id = correlation_id
        await self._send(self._default, message, reply_to, mandatory=False)

    async def _send(
        self,
        exchange: AbstractExchange | None,
        message: Message,
        key: str,
        *,
        mandatory: bool = True,
    ) -> None:
        if exchange is None or not self._bus.connected:
            raise BrokerUnavailable("not connected")
        with translated():
            async with asyncio.timeout(self._bus.publish_timeout):
                await exchange.publish(message, key, mandatory=mandatory)
