"""A consumer whose connection is lost at the two moments that a real broker seldom shows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage

from conduit.bus import consumer
from conduit.bus.connection import Bus
from conduit.bus.consumer import Consumer, Done, Incoming, Outcome
from conduit.bus.publisher import Publisher

Receive = Callable[[AbstractIncomingMessage], Awaitable[None]]


class Queue:
    """A queue on a connection that comes back by itself: a consumer cannot be cancelled on it."""

    def __init__(self) -> None:
        self.receive: Receive | None = None

    async def consume(self, receive: Receive) -> str:
        self.receive = receive
        return "tag"

    async def deliver(self, message: "Message") -> None:
        assert self.receive is not None
        await self.receive(cast(AbstractIncomingMessage, message))

    async def cancel(self, _tag: str) -> None:
        raise ConnectionError("the connection was lost")


class Broker:
    """Loses the connection the first times that a channel is asked for."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.queue = Queue()

    async def channel(self, *, prefetch: int) -> "Broker":
        assert prefetch == 1
        if self.lost:
            self.lost -= 1
            raise ConnectionError("the connection was lost")
        return self

    async def get_queue(self, _name: str) -> Queue:
        return self.queue


@pytest.fixture
def handled() -> list[Incoming]:
    return []


def consumer_of(broker: Broker, handled: list[Incoming]) -> Consumer:
    async def handle(incoming: Incoming) -> Outcome:
        handled.append(incoming)
        return Done()

    return Consumer(cast(Bus, broker), cast(Publisher, None), "queue", handle, prefetch=1)


async def test_a_start_waits_for_a_connection_that_is_lost_meanwhile(
    monkeypatch: pytest.MonkeyPatch, handled: list[Incoming]
) -> None:
    monkeypatch.setattr(consumer, "_PAUSE", 0)
    broker = Broker(lost=2)
    async with asyncio.timeout(10):
        await consumer_of(broker, handled).start()
    assert broker.lost == 0
    assert broker.queue.receive is not None


class Message:
    """One that counts its acknowledgements."""

    type, body, redelivered, reply_to = "mail.accepted", b"", False, None
    headers: Mapping[str, Any] = {"conduit-meta": "{}", "conduit-version": 1}

    def __init__(self) -> None:
        self.acknowledged = asyncio.Event()

    async def ack(self) -> None:
        self.acknowledged.set()


async def test_a_stop_takes_no_more_though_the_queue_goes_on(handled: list[Incoming]) -> None:
    broker = Broker(lost=0)
    stopping, before, after = consumer_of(broker, handled), Message(), Message()
    await stopping.start()
    await broker.queue.deliver(before)
    async with asyncio.timeout(10):
        await before.acknowledged.wait()
        await stopping.stop()
    await broker.queue.deliver(after)
    await stopping.stop()  # waits for what is in flight
    assert len(handled) == 1
    assert not after.acknowledged.is_set()
