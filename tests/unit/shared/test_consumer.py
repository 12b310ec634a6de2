"""A consumer at moments that a real broker seldom shows: lost connections, a gate, a stop."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from conduit.bus import consumer
from conduit.bus.connection import Bus
from conduit.bus.consumer import Consumer, Done, Incoming, Outcome
from conduit.bus.deliveries import Delivery, Take
from conduit.bus.publisher import Publisher
from tests.support.polling import PATIENCE


class Broker:
    """Loses the connection the first times that somebody would consume.

    It comes back by itself: a consumer cannot be cancelled on it.
    """

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.take: Take | None = None

    async def consume(self, _queue: str, take: Take, *, prefetch: int) -> "Broker":
        assert prefetch == 1
        if self.lost:
            self.lost -= 1
            raise ConnectionError("the connection was lost")
        self.take = take
        return self

    def deliver(self, message: "Message") -> None:
        assert self.take is not None
        self.take(cast(Delivery, message))

    async def cancel(self) -> None:
        raise ConnectionError("the connection was lost")


@pytest.fixture
def handled() -> list[Incoming]:
    return []


def consumer_of(
    broker: Broker, handled: list[Incoming], gate: "ShutGate | None" = None
) -> Consumer:
    async def handle(incoming: Incoming) -> Outcome:
        handled.append(incoming)
        return Done()

    bus, publisher = cast(Bus, broker), cast(Publisher, None)
    return Consumer(bus, publisher, "queue", handle, prefetch=1, gate=gate)


class ShutGate:
    """Lets messages begin when the test opens it, and counts who has left."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0
        self.left = 0

    async def enter(self) -> "ShutGate":
        self.waiting += 1
        await self.open.wait()
        return self

    async def give_way(self) -> None:
        raise AssertionError("nobody is put off here")

    def leave(self) -> None:
        self.left += 1


async def test_a_start_waits_for_a_connection_that_is_lost_meanwhile(
    monkeypatch: pytest.MonkeyPatch, handled: list[Incoming]
) -> None:
    monkeypatch.setattr(consumer, "_PAUSE", 0)
    broker = Broker(lost=2)
    async with asyncio.timeout(PATIENCE):
        await consumer_of(broker, handled).start()
    assert broker.lost == 0
    assert broker.take is not None


class Message:
    """One that counts its acknowledgements."""

    type, body, redelivered, reply_to = "mail.accepted", b"", False, None
    headers: Mapping[str, Any] = {"conduit-meta": "{}", "conduit-version": 1}

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.acknowledged = asyncio.Event()
        self.given_back = False

    def ack(self) -> None:
        self.acknowledged.set()

    def nack(self) -> None:
        self.given_back = True


async def test_a_stop_takes_no_more_though_the_queue_goes_on(handled: list[Incoming]) -> None:
    broker = Broker(lost=0)
    stopping, before, after = consumer_of(broker, handled), Message(), Message()
    await stopping.start()
    broker.deliver(before)
    async with asyncio.timeout(PATIENCE):
        await before.acknowledged.wait()
        await stopping.stop()
    broker.deliver(after)
    await stopping.stop()  # waits for what is in flight
    assert len(handled) == 1
    assert not after.acknowledged.is_set()


async def test_a_message_begins_when_the_gate_lets_it(handled: list[Incoming]) -> None:
    broker, gate, message = Broker(lost=0), ShutGate(), Message()
    consumer = consumer_of(broker, handled, gate)
    await consumer.start()
    broker.deliver(message)
    await asyncio.sleep(0)
    assert (gate.waiting, handled) == (1, [])
    gate.open.set()
    async with asyncio.timeout(PATIENCE):
        await message.acknowledged.wait()
        await consumer.stop()
    assert (gate.left, len(handled)) == (1, 1)


async def test_what_waits_at_the_gate_is_given_back_by_a_stop(handled: list[Incoming]) -> None:
    broker, gate, message = Broker(lost=0), ShutGate(), Message()
    consumer = consumer_of(broker, handled, gate)
    await consumer.start()
    broker.deliver(message)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)
    gate.open.set()
    async with asyncio.timeout(PATIENCE):
        await stopping
    assert (message.given_back, handled, gate.left) == (True, [], 1)
    assert not message.acknowledged.is_set()


async def test_what_is_lost_at_the_gate_does_not_begin(handled: list[Incoming]) -> None:
    """The broker has given it out again by then: it would be called twice."""
    broker, gate, message = Broker(lost=0), ShutGate(), Message(lost=True)
    consumer = consumer_of(broker, handled, gate)
    await consumer.start()
    gate.open.set()
    broker.deliver(message)
    async with asyncio.timeout(PATIENCE):
        await consumer.stop()
    assert (message.given_back, handled, gate.left) == (False, [], 1)
