"""Publishing: durable when `publish` returns, in doubt when it raises."""

import asyncio

from aio_pika.abc import AbstractChannel

from conduit.bus.connection import Bus, translated
from conduit.bus.outgoing import Message, Outgoing
from conduit.bus.packets import headers_of
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable
from conduit.events import Packet

_DEFAULT_EXCHANGE = ""


class Publisher:
    """Publishes packets, many at a time on one channel, each waiting for its own confirm."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: AbstractChannel | None = None
        self._outgoing: Outgoing | None = None
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Open the channel; it comes back with the connection."""
        with translated():
            self._channel = await self._bus.channel()

    async def publish(
        self, packet: Packet, queue: str, *, faults: int = 0, begun: bool = False
    ) -> None:
        """Return when the broker has the packet on disk; raise BrokerUnavailable when in doubt."""
        headers = headers_of(packet, faults=faults, begun=begun)
        await self._send(Message(EXCHANGE, queue, True, packet.kind, headers, packet.body))

    async def reply(self, packet: Packet, reply_to: str, correlation_id: str | None) -> None:
        """Answer a request at the queue that it named.

        It is not mandatory: at a direct reply-to queue RabbitMQ delivers, but calls it unroutable.
        """
        headers = headers_of(packet)
        await self._send(
            Message(
                _DEFAULT_EXCHANGE,
                reply_to,
                False,
                packet.kind,
                headers,
                packet.body,
                correlation_id,
            )
        )

    async def _send(self, message: Message) -> None:
        outgoing = self._outgoing
        if outgoing is None or outgoing.closed:
            outgoing = self._outgoing = await self._reopened()
        with translated():
            confirmed = outgoing.publish(message)
            # A timer costs a third of what a timeout context does.
            expiry = self._loop.call_later(self._bus.publish_timeout, _expire, confirmed)
            try:
                await confirmed
            finally:
                expiry.cancel()

    async def _reopened(self) -> Outgoing:
        if self._channel is None:
            raise BrokerUnavailable("not connected")
        return await self._bus.outgoing(self._channel)


def _expire(confirmed: "asyncio.Future[None]") -> None:
    if not confirmed.done():
        confirmed.set_exception(TimeoutError("the broker did not confirm in time"))
