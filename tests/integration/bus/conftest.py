"""The bus under test, and a look at the queues from outside."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aio_pika import Message, connect
from aio_pika.abc import AbstractIncomingMessage

from conduit.bus.connection import Bus, open_bus
from conduit.bus.consumer import Consumer, Handler, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES, EXCHANGE
from conduit.events import Packet
from conduit.settings import BusSettings
from tests.support.polling import PATIENCE, eventually


class Queues:
    """What lies in the queues, seen over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def count(self, name: str) -> int:
        """Return how many messages are ready in a queue."""
        async with await connect(self._url) as connection:
            queue = await (await connection.channel()).declare_queue(name, passive=True)
            return int(queue.declaration_result.message_count or 0)

    async def take(self, name: str) -> AbstractIncomingMessage:
        """Take the next message out of a queue, waiting for it."""
        async with await connect(self._url) as connection:
            queue = await (await connection.channel()).get_queue(name)

            async def next_message() -> AbstractIncomingMessage | None:
                return await queue.get(fail=False)

            message = await eventually(next_message, what=f"a message in {name}")
            assert message is not None
            await message.ack()
            return message

    async def drain(self, name: str) -> list[bytes]:
        """Take everything out of a queue; return the bodies."""
        bodies: list[bytes] = []
        async with await connect(self._url) as connection:
            queue = await (await connection.channel()).get_queue(name)
            while message := await queue.get(no_ack=True, fail=False):
                bodies.append(message.body)
        return bodies

    async def put(self, name: str, message: Message) -> None:
        """Publish a message of any form."""
        async with await connect(self._url) as connection:
            exchange = await (await connection.channel()).get_exchange(EXCHANGE)
            await exchange.publish(message, name)


class Seen:
    """A handler that keeps what it was handed, and answers as the test says."""

    def __init__(self, outcome: Callable[[Incoming], Awaitable[Outcome]]) -> None:
        self.incoming: list[Incoming] = []
        self._outcome = outcome

    async def __call__(self, incoming: Incoming) -> Outcome:
        self.incoming.append(incoming)
        return await self._outcome(incoming)

    @property
    def bodies(self) -> list[bytes]:
        """The bodies that came, in order."""
        return [incoming.packet.body for incoming in self.incoming]

    async def expect(self, *bodies: bytes, within: float = PATIENCE) -> None:
        """Wait until these bodies have come, however often and in whatever order."""
        await eventually(lambda: set(bodies) <= set(self.bodies), within=within, what=f"{bodies!r}")


def packet(body: bytes) -> Packet:
    """Return a packet that is told from others by its body."""
    return Packet("test", 1, b"{}", body)


Consume = Callable[..., Awaitable[Consumer]]


@pytest.fixture
def queues(bus_settings: BusSettings) -> Queues:
    """The queues from outside."""
    return Queues(bus_settings.amqp_url)


@pytest.fixture
async def bus(bus_settings: BusSettings) -> AsyncIterator[Bus]:
    """An open bus."""
    async with open_bus(bus_settings) as bus:
        yield bus


@pytest.fixture
async def publisher(bus: Bus) -> Publisher:
    """An open publisher."""
    publisher = Publisher(bus)
    await publisher.open()
    return publisher


@pytest.fixture
async def consume(bus: Bus, publisher: Publisher) -> AsyncIterator[Consume]:
    """Start consumers of `deliveries`, stopped at the end."""
    consumers: list[Consumer] = []

    async def start(handler: Handler, *, prefetch: int = 10) -> Consumer:
        consumer = Consumer(bus, publisher, DELIVERIES, handler, prefetch=prefetch)
        await consumer.start()
        consumers.append(consumer)
        return consumer

    yield start
    for consumer in consumers:
        await consumer.stop()
