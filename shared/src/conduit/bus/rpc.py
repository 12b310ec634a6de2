"""Asking over the bus: a request with a deadline, and one answer (RabbitMQ's direct reply-to)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from conduit.bus.connection import Bus, translated
from conduit.bus.consumer import Answer, Consumer, Done, Incoming, Outcome
from conduit.bus.packets import from_message, to_message
from conduit.bus.publisher import Publisher
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable
from conduit.events import Event, decode, encode

log = logging.getLogger(__name__)

_REPLY_TO = "amq.rabbitmq.reply-to"


class RpcClient:
    """Sends requests and awaits their answers. A request expires on the queue with its deadline."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: AbstractChannel | None = None
        self._waiting: dict[str, asyncio.Future[Event]] = {}

    async def open(self) -> None:
        """Open the channel on which answers arrive; it comes back with the connection."""
        with translated():
            self._channel = await self._bus.channel()
            replies = await self._channel.get_queue(_REPLY_TO)
            await replies.consume(self._answered, no_ack=True)

    async def call(self, queue: str, request: Event, *, deadline: float) -> Event:
        """Return the answer, or raise BrokerUnavailable when none comes in `deadline` seconds."""
        correlation = uuid4().hex
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[correlation] = answer
        try:
            with translated():
                async with asyncio.timeout(deadline):
                    await self._send(queue, request, correlation, deadline)
                    return await answer
        finally:
            del self._waiting[correlation]

    async def _send(self, queue: str, request: Event, correlation: str, deadline: float) -> None:
        if self._channel is None or not self._bus.connected:
            raise BrokerUnavailable("not connected")
        message = to_message(encode(request))
        message.correlation_id, message.reply_to = correlation, _REPLY_TO
        message.expiration = deadline
        exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(message, queue, mandatory=True)

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(decode(from_message(message)))


class RpcServer:
    """Answers the requests of one queue."""

    def __init__(
        self,
        bus: Bus,
        publisher: Publisher,
        queue: str,
        answer: Callable[[Event], Awaitable[Event]],
        *,
        prefetch: int,
    ) -> None:
        self._answer = answer
        self._consumer = Consumer(bus, publisher, queue, self._handle, prefetch=prefetch)

    async def start(self) -> None:
        """Begin to answer."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Take no more requests, and finish those in flight."""
        await self._consumer.stop()

    async def _handle(self, incoming: Incoming) -> Outcome:
        """Answer, or leave the caller to its deadline: a request is repeated by who needs it."""
        try:
            return Answer(encode(await self._answer(decode(incoming.packet))))
        except Exception:
            log.exception("rpc.unanswered", extra={"kind": incoming.packet.kind})
            return Done()
