"""Publishing on a real RabbitMQ: durable when it returns, in doubt when it raises."""

import asyncio
import gc
import time
from functools import partial

import pytest

from conduit.bus.connection import Bus, open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELAYS, DELIVERIES, delay_queue
from conduit.errors import BrokerUnavailable
from conduit.settings import BusSettings
from tests.integration.bus.conftest import Queues, packet
from tests.support.infrastructure import Broker
from tests.support.polling import eventually


async def test_a_published_packet_is_in_the_queue_when_publish_returns(
    publisher: Publisher, queues: Queues
) -> None:
    await publisher.publish(packet(b"raw \x00\xff\r\n"), DELIVERIES)
    message = await queues.take(DELIVERIES)
    assert message.body == b"raw \x00\xff\r\n"
    assert message.delivery_mode == 2


async def test_many_publishes_at_a_time_are_each_confirmed(
    publisher: Publisher, queues: Queues
) -> None:
    bodies = [str(number).encode() for number in range(200)]
    await asyncio.gather(*(publisher.publish(packet(body), DELIVERIES) for body in bodies))
    assert await queues.count(DELIVERIES) == 200


async def test_of_many_publishes_at_a_time_each_is_told_its_own_outcome(
    publisher: Publisher, queues: Queues
) -> None:
    async def published(number: int) -> bool:
        queue = DELIVERIES if number % 7 else "no.such.queue"
        try:
            await publisher.publish(packet(str(number).encode()), queue)
        except BrokerUnavailable:
            return False
        return True

    outcomes = await asyncio.gather(*map(published, range(300)))
    assert [not number % 7 for number in range(300)] == [not outcome for outcome in outcomes]
    kept = {str(number).encode() for number in range(300) if number % 7}
    assert set(await queues.drain(DELIVERIES)) == kept


@pytest.mark.parametrize("size", [0, 131_063, 131_064, 131_065, 2_000_000])
async def test_a_body_may_take_several_frames(
    publisher: Publisher, queues: Queues, size: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    await publisher.publish(packet(body), DELIVERIES)
    assert (await queues.take(DELIVERIES)).body == body


async def test_who_gives_up_leaves_the_others_their_confirms(
    publisher: Publisher, queues: Queues
) -> None:
    tasks = [
        asyncio.create_task(publisher.publish(packet(str(number).encode()), DELIVERIES))
        for number in range(100)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome is None for outcome in outcomes] == [False, True] * 50
    kept = {str(number).encode() for number in range(1, 100, 2)}
    assert kept <= set(await queues.drain(DELIVERIES))


async def test_a_packet_that_no_queue_takes_is_refused(publisher: Publisher) -> None:
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(packet(b"lost"), "no.such.queue")


async def test_a_refused_packet_leaves_the_publisher_usable(
    publisher: Publisher, queues: Queues
) -> None:
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(packet(b"lost"), "no.such.queue")
    await publisher.publish(packet(b"kept"), DELIVERIES)
    assert (await queues.take(DELIVERIES)).body == b"kept"


async def test_a_publisher_that_was_not_opened_is_in_doubt(bus: Bus) -> None:
    with pytest.raises(BrokerUnavailable):
        await Publisher(bus).publish(packet(b"early"), DELIVERIES)


@pytest.mark.parametrize("seconds", [*DELAYS, 0.1, 7, 100_000])
async def test_every_delay_has_a_queue(
    publisher: Publisher, queues: Queues, seconds: float
) -> None:
    await publisher.publish(packet(b"later"), delay_queue(seconds))
    assert await queues.count(delay_queue(seconds)) == 1


async def test_a_frozen_broker_is_told_within_the_timeout(
    bus_settings: BusSettings, broker: Broker
) -> None:
    async with open_bus(bus_settings.model_copy(update={"publish_timeout": 0.5})) as bus:
        publisher = Publisher(bus)
        await publisher.open()
        broker.freeze()
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await publisher.publish(packet(b"doubtful"), DELIVERIES)
        assert time.monotonic() - started < 5
        broker.thaw()
        await eventually(lambda: _published(publisher), what="a publish after the thaw")


async def test_what_a_frozen_broker_does_not_read_is_not_written(
    bus_settings: BusSettings, broker: Broker, queues: Queues
) -> None:
    """Else what was given up would fill the memory, and come after all."""
    async with open_bus(bus_settings.model_copy(update={"publish_timeout": 2})) as bus:
        publisher = Publisher(bus)
        await publisher.open()
        broker.freeze()
        bodies = [str(number).encode().ljust(1_000_000) for number in range(40)]
        outcomes = await asyncio.gather(
            *(publisher.publish(packet(body), DELIVERIES) for body in bodies),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {BrokerUnavailable}
        broker.thaw()
        await eventually(lambda: _published(publisher), within=30, what="a publish after the thaw")
    queued = set(await queues.drain(DELIVERIES))
    assert bodies[0] in queued
    assert bodies[-1] not in queued


async def test_a_publish_that_its_caller_gives_up_is_cancelled_not_unavailable(
    publisher: Publisher, broker: Broker
) -> None:
    broker.freeze()
    task = asyncio.create_task(publisher.publish(packet(b"given up"), DELIVERIES))
    await asyncio.wait([task], timeout=0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_kill_during_publishes_loses_none_that_was_confirmed(
    bus: Bus, publisher: Publisher, queues: Queues, broker: Broker
) -> None:
    confirmed: set[bytes] = set()
    in_doubt: list[BrokerUnavailable] = []

    async def publish(number: int) -> None:
        body = str(number).encode().ljust(4096)
        try:
            await publisher.publish(packet(body), DELIVERIES)
            confirmed.add(body)
        except BrokerUnavailable as error:
            in_doubt.append(error)

    tasks = [asyncio.create_task(publish(number)) for number in range(6_000)]
    await eventually(lambda: len(confirmed) > 200, what="the first confirms")
    broker.kill()
    await asyncio.wait(tasks)
    assert in_doubt, "the kill came too late to matter"
    assert not await bus.available()
    await eventually(lambda: _published(publisher), within=20, what="a publish afterwards")
    assert await bus.available()
    assert confirmed <= set(await queues.drain(DELIVERIES))


async def test_a_broker_that_lost_its_disk_gets_its_topology_again(
    bus: Bus, publisher: Publisher, queues: Queues, broker: Broker
) -> None:
    gc.collect()
    broker.wipe()
    await eventually(lambda: _published(publisher), within=20, what="a publish afterwards")
    for seconds in DELAYS:
        await eventually(partial(_published, publisher, delay_queue(seconds)), what="a delay")
    assert await queues.count(DELIVERIES) == 1


async def _published(publisher: Publisher, queue: str = DELIVERIES) -> bool:
    try:
        await publisher.publish(packet(b"again"), queue)
    except BrokerUnavailable:
        return False
    return True
