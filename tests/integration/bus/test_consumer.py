"""Consuming from a real RabbitMQ: acknowledged last, and as the handler's outcome says."""

import asyncio
from dataclasses import replace

import pytest
from aio_pika import Message

from conduit.bus.connection import Bus
from conduit.bus.consumer import MOST_FAULTS, Again, Consumer, Dead, Done, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK, DELIVERIES_DEAD, LANES, delay_queue
from conduit.errors import BrokerUnavailable, StoreUnavailable
from conduit.events import DomainCheckRequested, Packet, decode, encode
from tests.integration.bus.conftest import Consume, Queues, Seen, packet
from tests.support.infrastructure import Broker
from tests.support.polling import eventually


async def done(_incoming: Incoming) -> Outcome:
    return Done()


async def test_a_message_is_acknowledged_after_its_handler(
    bus: Bus, publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    release = asyncio.Event()

    async def wait(_incoming: Incoming) -> Outcome:
        await release.wait()
        return Done()

    seen = Seen(wait)
    consumer = await consume(seen, prefetch=1)
    await publisher.publish(packet(b"first"), DELIVERIES)
    await publisher.publish(packet(b"second"), DELIVERIES)
    await seen.expect(b"first")
    assert await queues.count(DELIVERIES) == 1, "the first is not acknowledged, so no second comes"
    release.set()
    await seen.expect(b"second")
    await consumer.stop()
    assert await queues.count(DELIVERIES) == 0


async def test_again_goes_through_a_delay_queue_and_comes_back_as_the_new_packet(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    async def once_again(incoming: Incoming) -> Outcome:
        if incoming.packet.body == b"changed":
            return Done()
        return Again(replace(incoming.packet, body=b"changed"), 1)

    seen = Seen(once_again)
    await consume(seen)
    await publisher.publish(packet(b"original"), DELIVERIES)
    await eventually(lambda: queues.count(delay_queue(1)), what="the delayed message")
    assert seen.bodies == [b"original"]
    await seen.expect(b"changed")
    assert seen.bodies == [b"original", b"changed"]
    assert not seen.incoming[1].redelivered


async def test_dead_is_kept_in_the_dead_letter_queue(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    async def dead(incoming: Incoming) -> Outcome:
        return Dead(replace(incoming.packet, body=b"as it ended"))

    await consume(dead)
    await publisher.publish(packet(b"as it began"), DELIVERIES)
    assert (await queues.take(DELIVERIES_DEAD)).body == b"as it ended"


async def test_a_message_that_is_not_ours_is_dead_at_once(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    seen = Seen(done)
    await consume(seen)
    await queues.put(DELIVERIES, Message(b"no headers of ours"))
    assert (await queues.take(DELIVERIES_DEAD)).body == b"no headers of ours"
    assert not seen.incoming


async def test_an_event_that_cannot_be_read_is_dead_at_once(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    await consume(_reading)
    damaged = replace(encode(DomainCheckRequested("dom_1")), meta=b"{")
    await publisher.publish(damaged, DELIVERIES)
    dead = await queues.take(DELIVERIES_DEAD)
    assert dead.headers["conduit-meta"] == "{"


async def test_an_event_of_a_newer_version_is_postponed_for_a_newer_replica(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    await consume(_reading)
    newer = replace(encode(DomainCheckRequested("dom_1")), version=99)
    await publisher.publish(newer, DELIVERIES)
    postponed = await queues.take(delay_queue(5))
    assert postponed.headers["conduit-version"] == 99
    assert postponed.headers["conduit-faults"] == 0
    assert "conduit-begun" not in postponed.headers
    await publisher.publish(newer, DELIVERIES, begun=True)
    assert (await queues.take(delay_queue(5))).headers["conduit-begun"] is True


async def test_an_absent_neighbour_postpones_a_message_and_is_no_fault(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    async def store_is_away(_incoming: Incoming) -> Outcome:
        raise StoreUnavailable("away")

    await consume(store_is_away)
    await publisher.publish(packet(b"later"), DELIVERIES, faults=MOST_FAULTS)
    postponed = await queues.take(delay_queue(5))
    assert postponed.headers["conduit-faults"] == MOST_FAULTS
    assert postponed.headers["conduit-begun"] is True


async def test_a_fault_of_the_handler_is_counted_on_the_message(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    await consume(_faulty)
    await publisher.publish(packet(b"poison"), DELIVERIES)
    assert (await queues.take(delay_queue(5))).headers["conduit-faults"] == 1
    await publisher.publish(packet(b"poison"), DELIVERIES, faults=1)
    assert (await queues.take(delay_queue(10))).headers["conduit-faults"] == 2


async def test_after_a_fault_a_handler_is_told_that_somebody_has_begun(
    publisher: Publisher, consume: Consume
) -> None:
    seen = Seen(done)
    await consume(seen)
    await publisher.publish(packet(b"new"), DELIVERIES)
    await publisher.publish(packet(b"poison"), DELIVERIES, faults=1)
    await seen.expect(b"new", b"poison")
    begun = {incoming.packet.body: incoming.redelivered for incoming in seen.incoming}
    assert begun == {b"new": False, b"poison": True}


async def test_what_an_absent_neighbour_postponed_comes_back_as_begun(
    publisher: Publisher, consume: Consume
) -> None:
    """The neighbour may be away since the call, which it was to write down."""

    async def store_is_away_once(_incoming: Incoming) -> Outcome:
        if len(seen.incoming) == 1:
            raise StoreUnavailable("away")
        return Done()

    seen = Seen(store_is_away_once)
    await consume(seen)
    await publisher.publish(packet(b"called?"), DELIVERIES)
    await eventually(lambda: len(seen.incoming) == 2, within=30, what="the second look")
    assert [incoming.redelivered for incoming in seen.incoming] == [False, True]
    assert seen.incoming[1].packet == seen.incoming[0].packet


async def test_a_handler_may_have_a_message_come_back_as_begun(
    publisher: Publisher, consume: Consume
) -> None:
    async def again_once(incoming: Incoming) -> Outcome:
        if len(seen.incoming) == 1:
            return Again(incoming.packet, 1, begun=True)
        return Done()

    seen = Seen(again_once)
    await consume(seen)
    await publisher.publish(packet(b"called?"), DELIVERIES)
    await eventually(lambda: len(seen.incoming) == 2, within=30, what="the second look")
    assert [incoming.redelivered for incoming in seen.incoming] == [False, True]


async def test_too_many_faults_end_in_the_dead_letter_queue(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    await consume(_faulty)
    await publisher.publish(packet(b"poison"), DELIVERIES, faults=MOST_FAULTS)
    assert (await queues.take(DELIVERIES_DEAD)).body == b"poison"


@pytest.mark.parametrize("lane", LANES)
async def test_what_a_handler_fails_on_comes_back_by_its_lane(
    bus: Bus, publisher: Publisher, queues: Queues, lane: str
) -> None:
    async def fails(incoming: Incoming) -> Outcome:
        if incoming.packet.body == b"away":
            raise StoreUnavailable("away")
        raise ZeroDivisionError

    consumer = Consumer(bus, publisher, lane, fails, prefetch=10)
    await consumer.start()
    for body in (b"away", b"poison"):
        await publisher.publish(packet(body), lane)
        assert (await queues.take(delay_queue(5, lane))).body == body
    await consumer.stop()


async def test_what_expires_in_a_lanes_delay_comes_back_to_that_lane(
    publisher: Publisher, queues: Queues
) -> None:
    await publisher.publish(packet(b"bulk"), delay_queue(1, DELIVERIES_BULK))
    assert (await queues.take(DELIVERIES_BULK)).body == b"bulk"
    assert await queues.count(DELIVERIES) == 0


async def test_stop_waits_for_what_is_in_flight_and_takes_no_more(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    release = asyncio.Event()

    async def wait(_incoming: Incoming) -> Outcome:
        await release.wait()
        return Done()

    seen = Seen(wait)
    consumer = await consume(seen)
    await publisher.publish(packet(b"in flight"), DELIVERIES)
    await seen.expect(b"in flight")
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=0.2)
    assert not stopping.done()
    await publisher.publish(packet(b"too late"), DELIVERIES)
    release.set()
    await stopping
    assert seen.bodies == [b"in flight"]
    assert await queues.drain(DELIVERIES) == [b"too late"]


async def test_consuming_goes_on_after_the_broker_was_killed(
    bus: Bus, publisher: Publisher, consume: Consume, queues: Queues, broker: Broker
) -> None:
    release = asyncio.Event()

    async def wait(_incoming: Incoming) -> Outcome:
        await release.wait()
        return Done()

    seen = Seen(wait)
    consumer = await consume(seen, prefetch=1)
    await publisher.publish(packet(b"in flight"), DELIVERIES)
    await publisher.publish(packet(b"waiting"), DELIVERIES)
    await seen.expect(b"in flight")
    broker.kill()
    await eventually(lambda: not bus.connected, what="the lost connection")
    release.set()
    await seen.expect(b"waiting", within=20)
    await eventually(lambda: seen.bodies.count(b"in flight") == 2, what="the redelivery")
    again = [each.redelivered for each in seen.incoming if each.packet.body == b"in flight"]
    assert again == [False, True]
    await consumer.stop()
    assert await queues.count(DELIVERIES) == 0


async def test_a_forward_without_a_confirm_brings_the_message_again(
    bus: Bus, publisher: Publisher, queues: Queues
) -> None:
    class UnconfirmedOnce(Publisher):
        tries = 0

        async def publish(
            self, packet: Packet, queue: str, *, faults: int = 0, begun: bool = False
        ) -> None:
            self.tries += 1
            if self.tries == 1:
                raise BrokerUnavailable("no confirm")
            await super().publish(packet, queue, faults=faults, begun=begun)

    async def dead(incoming: Incoming) -> Outcome:
        return Dead(incoming.packet)

    unconfirmed = UnconfirmedOnce(bus)
    await unconfirmed.open()
    seen = Seen(dead)
    consumer = Consumer(bus, unconfirmed, DELIVERIES, seen, prefetch=10)
    await consumer.start()
    await publisher.publish(packet(b"kept"), DELIVERIES)
    assert (await queues.take(DELIVERIES_DEAD)).body == b"kept"
    await consumer.stop()
    assert [incoming.redelivered for incoming in seen.incoming] == [False, True]


async def _reading(incoming: Incoming) -> Outcome:
    decode(incoming.packet)
    return Done()


async def _faulty(_incoming: Incoming) -> Outcome:
    raise ZeroDivisionError
