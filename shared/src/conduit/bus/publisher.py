"""Publishing: durable when `publish` returns, in doubt when it raises.

Straight on aiormq's channel, which belongs to aio-pika's and comes back with it: aio-pika's message
and exchange would cost a fifth of the CPU's time for a publish again.
"""

import asyncio
from typing import cast

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq import spec

from conduit.bus.connection import Bus, translated
from conduit.bus.packets import properties_of
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable
from conduit.events import Packet

_DEFAULT_EXCHANGE = ""

_UNCONFIRMED = 4 * 1024 * 1024
"""Octets that may be on their way before each publish waits until the socket takes it."""


class Publisher:
    """Publishes packets, many at a time on one channel, each waiting for its own confirm."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: AbstractChannel | None = None
        self._unconfirmed = 0
        self._in_doubt = False

    async def open(self) -> None:
        """Open the channel; it comes back with the connection."""
        with translated():
            self._channel = await self._bus.channel()

    async def publish(self, packet: Packet, queue: str, *, faults: int = 0) -> None:
        """Return when the broker has the packet on disk; raise BrokerUnavailable when in doubt."""
        await self._send(packet, properties_of(packet, faults=faults), EXCHANGE, queue)

    async def reply(self, packet: Packet, reply_to: str, correlation_id: str | None) -> None:
        """Answer a request at the queue that it named.

        Not mandatory: RabbitMQ delivers to a direct reply-to queue, but calls it unroutable.
        """
        properties = properties_of(packet)
        properties.correlation_id = correlation_id
        await self._send(packet, properties, _DEFAULT_EXCHANGE, reply_to, mandatory=False)

    async def _send(
        self,
        packet: Packet,
        properties: spec.Basic.Properties,
        exchange: str,
        key: str,
        *,
        mandatory: bool = True,
    ) -> None:
        if self._channel is None or not self._bus.connected:
            raise BrokerUnavailable("not connected")
        # While the broker reads, waiting for the socket would only let one publish go at a time.
        # When it does not, what it has not read must not pile up here.
        wait = self._in_doubt or self._unconfirmed > _UNCONFIRMED
        self._unconfirmed += len(packet.body)
        try:
            with translated():
                async with asyncio.timeout(self._bus.publish_timeout):
                    channel = cast(aiormq.Channel, await self._channel.get_underlay_channel())
                    await channel.basic_publish(
                        packet.body,
                        exchange=exchange,
                        routing_key=key,
                        properties=properties,
                        mandatory=mandatory,
                        wait=wait,
                    )
        except BaseException:
            self._in_doubt = True
            raise
        else:
            self._in_doubt = False
        finally:
            self._unconfirmed -= len(packet.body)
