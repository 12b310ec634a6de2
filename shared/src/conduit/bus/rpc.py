"""Asking over the bus: a request with a deadline, and one answer (RabbitMQ's direct reply-to)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import inf
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from conduit.bus.connection import Bus, translated
from conduit.bus.consumer import Answer, Consumer, Done, Handler, Incoming, Outcome
from conduit.bus.packets import from_message, to_message
from conduit.bus.publisher import Publisher
from conduit.bus.topology import EXCHANGE
from conduit.errors import BrokerUnavailable, NoAnswer
from conduit.events import Event, decode, encode

log = logging.getLogger(__name__)

_REPLY_TO = "amq.rabbitmq.reply-to"


class RpcClient:
    """Sends requests and awaits their answers, each on its own queue's terms.

    What waits for an answer holds a future, which goes with its deadline; None tells that the
    channel is lost, on which the answer would have come.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: AbstractChannel | None = None
        self._waiting: dict[str, asyncio.Future[Event | None]] = {}

    async def open(self) -> None:
        """Open the channel on which answers arrive; it comes back with the connection."""
        with translated():
            self._channel = await self._bus.channel()
            self._channel.close_callbacks.add(self._lost)
            replies = await self._channel.get_queue(_REPLY_TO)
            await replies.consume(self._answered, no_ack=True)

    async def call(
        self, queue: str, request: Event, *, deadline: float, taken_within: float | None = None
    ) -> Event:
        """Return the answer, or raise NoAnswer when none comes in `deadline` seconds.

        The request expires on the queue after `taken_within` seconds, or with the deadline. Raise
        BrokerUnavailable when RabbitMQ does not confirm that it has the request, or is lost since.
        """
        ends = asyncio.get_running_loop().time() + deadline
        with self._question() as (correlation, answer):
            await self._send(
                queue, request, correlation, expires=taken_within or deadline, ends=ends
            )
            return await _awaited(answer, ends)

    async def publish(self, queue: str, event: Event, *, wait: float) -> Event | None:
        """Publish an event durably; return what is told of it in `wait` seconds, or None.

        Raise BrokerUnavailable when it is in doubt whether it is durable, as a publisher does.
        """
        with self._question() as (correlation, told):
            await self._send(queue, event, correlation)
            try:
                return await _awaited(told, asyncio.get_running_loop().time() + wait)
            except BrokerUnavailable:  # nobody will tell, and it is durable all the same
                return None

    @contextmanager
    def _question(self) -> Iterator[tuple[str, asyncio.Future[Event | None]]]:
        """The correlation id of a question, and its answer as long as somebody awaits it."""
        correlation = uuid4().hex
        answer: asyncio.Future[Event | None] = asyncio.get_running_loop().create_future()
        self._waiting[correlation] = answer
        try:
            yield correlation, answer
        finally:
            del self._waiting[correlation]

    async def _send(
        self,
        queue: str,
        event: Event,
        correlation: str,
        *,
        expires: float | None = None,
        ends: float = inf,
    ) -> None:
        """Return when RabbitMQ has it on disk, which must not take longer than any publish."""
        if self._channel is None or not self._bus.connected:
            raise BrokerUnavailable("not connected")
        message = to_message(encode(event))
        message.correlation_id, message.reply_to = correlation, _REPLY_TO
        message.expiration = expires
        confirmed_by = asyncio.get_running_loop().time() + self._bus.publish_timeout
        with translated():
            async with asyncio.timeout_at(min(confirmed_by, ends)):
                exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
                await exchange.publish(message, queue, mandatory=True)

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(decode(from_message(message)))

    def _lost(self, _channel: AbstractChannel | None, _error: BaseException | None) -> None:
        """Have nobody wait for what RabbitMQ has forgotten with the channel."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)


async def _awaited(answer: asyncio.Future[Event | None], until: float) -> Event:
    try:
        async with asyncio.timeout_at(until):
            told = await answer
    except TimeoutError:
        raise NoAnswer("no answer in time") from None
    if told is None:
        raise BrokerUnavailable("the connection was lost while an answer was awaited")
    return told


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
        handler = answering(lambda incoming: answer(decode(incoming.packet)))
        self._consumer = Consumer(bus, publisher, queue, handler, prefetch=prefetch)

    async def start(self) -> None:
        """Begin to answer."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Take no more requests, and finish those in flight."""
        await self._consumer.stop()


def answering(answer: Callable[[Incoming], Awaitable[Event]]) -> Handler:
    """Return a handler that answers, or leaves the caller to its deadline.

    A request is neither tried again nor kept: it is repeated by who needs it.
    """

    async def handle(incoming: Incoming) -> Outcome:
        try:
            return Answer(encode(await answer(incoming)))
        except Exception:
            log.exception("rpc.unanswered", extra={"kind": incoming.packet.kind})
            return Done()

    return handle
