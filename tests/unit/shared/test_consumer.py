"""A consumer whose connection is lost at the two moments that a real broker seldom shows."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from conduit.bus import consumer
from conduit.bus.connection import Bus
from conduit.bus.consumer import Consumer, Done, Incoming, Outcome
from conduit.bus.deliveries import Delivery, Take
from conduit.bus.publisher import Publisher


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
    assert broker.take is not None


class Message:
    """One that counts its acknowledgements."""

    type, body, redelivered, reply_to = "mail.accepted", b"", False, None
    headers: Mapping[str, Any] = {"conduit-meta": "{}", "conduit-version": 1}

    def __init__(self) -> None:
        self.acknowledged = asyncio.Event()

    def ack(self) -> None:
        self.acknowledged.set()


async def test_a_stop_takes_no_more_though_the_queue_goes_on(handled: list[Incoming]) -> None:
    broker = Broker(lost=0)
    stopping, before, after = consumer_of(broker, handled), Message(), Message()
    await stopping.start()
    broker.deliver(before)
    async with asyncio.timeout(10):
        await before.acknowledged.wait()
        await stopping.stop()
    broker.deliver(after)
    await stopping.stop()  # waits for what is in flight
    assert len(handled) == 1
    assert not after.acknowledged.is_set()
