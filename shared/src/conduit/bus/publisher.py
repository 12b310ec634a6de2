"""Publishing: durable when `publish` returns, in doubt when it raises.

Whatever is published in one turn of the event loop, by whomever, is one write to the broker. It
goes straight onto aiormq's channel, which belongs to aio-pika's and comes back with it: one publish
at a time, as `basic_publish` makes them, costs twice the CPU's time.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import cast
from uuid import uuid4

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from conduit.bus.connection import Bus, translated
from conduit.bus.packets import properties_of
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable
from conduit.events import Packet

_DEFAULT_EXCHANGE = ""
_WRITE = 1024 * 1024  # octets of bodies that are written at once, and one more body


@dataclass(frozen=True, slots=True)
class _Publish:
    """One message on its way; `confirmed` is the channel's, which fails it when it closes."""

    channel: aiormq.Channel
    exchange: str
    routing_key: str
    properties: spec.Basic.Properties
    body: bytes
    confirmed: "asyncio.Future[object]"


class Publisher:
    """Publishes packets, many at a time on one channel, each waiting for its own confirm."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: AbstractChannel | None = None
        self._waiting: list[_Publish] = []
        self._writing: asyncio.Task[None] | None = None
        self._name, self._numbers = uuid4().hex, count()
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Open the channel; it comes back with the connection."""
        with translated():
            self._channel = await self._bus.channel()

    async def publish(
        self, packet: Packet, queue: str, *, faults: int = 0, begun: bool = False
    ) -> None:
        """Return when the broker has the packet on disk; raise BrokerUnavailable when in doubt."""
        properties = properties_of(packet, faults=faults, begun=begun)
        await self._send(packet, properties, EXCHANGE, queue)

    async def reply(self, packet: Packet, reply_to: str, correlation_id: str | None) -> None:
        """Answer a request at the queue that it named."""
        properties = properties_of(packet)
        properties.correlation_id = correlation_id
        await self._send(packet, properties, _DEFAULT_EXCHANGE, reply_to)

    async def _send(
        self, packet: Packet, properties: spec.Basic.Properties, exchange: str, routing_key: str
    ) -> None:
        if self._channel is None or not self._bus.connected:
            raise BrokerUnavailable("not connected")
        # By this the channel knows what comes back because no queue takes it.
        properties.message_id = f"{self._name}-{next(self._numbers)}"
        with translated():
            channel = await self._underlying(self._channel)
            confirmed = channel.create_future()
            self._waiting.append(
                _Publish(channel, exchange, routing_key, properties, packet.body, confirmed)
            )
            if self._writing is None:
                self._writing = self._loop.create_task(self._write())
            # A timer costs a third of what a timeout context does.
            expiry = self._loop.call_later(self._bus.publish_timeout, _expire, confirmed)
            try:
                await confirmed
            finally:
                expiry.cancel()

    async def _underlying(self, channel: AbstractChannel) -> aiormq.Channel:
        """Return aiormq's channel; while a lost connection is being restored, wait for that."""
        if not self._bus.restored:
            async with asyncio.timeout(self._bus.publish_timeout):
                await self._bus.restore()
        return cast(aiormq.Channel, await channel.get_underlay_channel())

    async def _write(self) -> None:
        """Write what waits until nothing does."""
        try:
            while batch := self._next_batch():
                try:
                    await _written(batch)
                except asyncio.CancelledError:
                    _fail(batch, ConnectionError("the connection was lost"))
                    task = asyncio.current_task()
                    if task is not None and task.cancelling() > 0:
                        raise
                except Exception as error:  # noqa: BLE001 (each publish raises it in its own name)
                    _fail(batch, error)
        finally:
            self._writing = None

    def _next_batch(self) -> list[_Publish]:
        """Take what waits for the channel of the first, up to a bound; who gave up is left out."""
        batch: list[_Publish] = []
        octets = taken = 0
        for publish in self._waiting:
            if octets > _WRITE or (batch and publish.channel is not batch[0].channel):
                break
            taken += 1
            if not publish.confirmed.done():
                batch.append(publish)
                octets += len(publish.body)
        del self._waiting[:taken]
        return batch


async def _written(batch: list[_Publish]) -> None:
    """Return when the socket has taken a batch: what the broker does not read waits with us."""
    channel = batch[0].channel
    octets = b"".join([part for publish in batch for part in _frames(publish)])
    drained = channel.create_future()
    frame = ChannelFrame(octets, should_close=False, drain_future=drained)
    async with channel.lock:
        for publish in batch:
            _await_confirm(publish)
        try:
            await channel.write_queue.put(frame)
        except BaseException:
            _forget_confirms(batch)
            raise
        await drained


def _await_confirm(publish: _Publish) -> None:
    """Have the channel know by which number the broker will confirm a message, or return it."""
    channel, message_id = publish.channel, str(publish.properties.message_id)
    channel.delivery_tag += 1
    channel.confirmations[channel.delivery_tag] = publish.confirmed
    channel.message_id_delivery_tag[message_id] = channel.delivery_tag
    publish.confirmed.add_done_callback(
        lambda _: channel.message_id_delivery_tag.pop(message_id, None)
    )


def _forget_confirms(batch: list[_Publish]) -> None:
    """Take the numbers back of what was not written: the broker will count on without it."""
    channel = batch[0].channel
    for _ in batch:
        del channel.confirmations[channel.delivery_tag]
        channel.delivery_tag -= 1


def _frames(publish: _Publish) -> Iterator[bytes]:
    number, size, body = publish.channel.number, publish.channel.max_content_size, publish.body
    yield _method(publish.exchange, publish.routing_key, number)
    yield marshal(ContentHeader(properties=publish.properties, body_size=len(body)), number)
    for start in range(0, len(body), size):
        yield marshal(ContentBody(body[start : start + size]), number)


@lru_cache(maxsize=1024)
def _method(exchange: str, routing_key: str, channel: int) -> bytes:
    """Return the method's frame, which mails to one queue share.

    What our own exchange cannot route is an error; at a direct reply-to queue RabbitMQ delivers,
    but calls it unroutable.
    """
    mandatory = exchange != _DEFAULT_EXCHANGE
    method = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(method, channel)


def _expire(confirmed: "asyncio.Future[object]") -> None:
    if not confirmed.done():
        confirmed.set_exception(TimeoutError("the broker did not confirm in time"))


def _fail(batch: list[_Publish], error: Exception) -> None:
    for publish in batch:
        if not publish.confirmed.done():
            publish.confirmed.set_exception(error)
