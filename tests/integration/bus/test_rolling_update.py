"""Two versions of Conduit on one queue, as during a rolling update."""

from collections import Counter
from dataclasses import replace

from conduit.bus.consumer import NEIGHBOUR_AWAY, Done, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES, DELIVERIES_DEAD, delay_queue
from conduit.errors import UnknownEventVersion
from conduit.events import MailAccepted, Packet, decode, encode
from tests.integration.bus.conftest import Consume, Queues
from tests.support.polling import eventually
from tests.support.recorded_events import MAIL

COUNT = 3
HERE = MailAccepted.VERSION
NEXT = HERE + 1


class Replica:
    """A consumer's handler that knows versions up to its own, as `decode` does of this version."""

    def __init__(self, version: int) -> None:
        self._ahead = version - HERE
        self.handled: list[str] = []
        self.left: Counter[str] = Counter()

    async def __call__(self, incoming: Incoming) -> Outcome:
        packet, identifier = incoming.packet, incoming.packet.body.decode()
        try:
            event = decode(replace(packet, version=max(HERE, packet.version - self._ahead)))
        except UnknownEventVersion:
            self.left[identifier] += 1
            raise
        assert isinstance(event, MailAccepted)
        self.handled.append(identifier)
        return Done()


def packets(version: int) -> list[Packet]:
    """Return some packets that a replica of this version has written, told by their bodies."""
    return [
        replace(encode(replace(MAIL, raw=f"{version}/{number}".encode())), version=version)
        for number in range(COUNT)
    ]


async def test_an_older_replica_leaves_newer_events_to_a_newer_one(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    old, new = Replica(HERE), Replica(NEXT)
    older, newer = packets(HERE), packets(NEXT)
    await consume(old)
    for packet in (*older, *newer):
        await publisher.publish(packet, DELIVERIES)
    await eventually(lambda: len(old.left) == COUNT, what="events that are left alone")
    await eventually(lambda: len(old.handled) == COUNT, what="events that are handled")
    # The newer one comes up beside it; each event that it does not get waits for another turn.
    await consume(new)
    await eventually(lambda: len(new.handled) == COUNT, within=100, what="the newer events")
    assert set(old.handled) == {packet.body.decode() for packet in older}
    assert sorted(new.handled) == sorted(packet.body.decode() for packet in newer)
    for name in (DELIVERIES, DELIVERIES_DEAD, delay_queue(NEIGHBOUR_AWAY)):
        assert await queues.count(name) == 0


async def test_a_newer_replica_takes_what_an_older_one_has_queued(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    new = Replica(NEXT)
    await consume(new)
    both = [*packets(HERE), *packets(NEXT)]
    for packet in both:
        await publisher.publish(packet, DELIVERIES)
    await eventually(lambda: len(new.handled) == 2 * COUNT, what="all events")
    assert sorted(new.handled) == sorted(packet.body.decode() for packet in both)
    assert not new.left
    await eventually(lambda: _is_empty(queues), what="an empty queue")


async def test_an_event_that_nobody_knows_yet_waits_unchanged_and_is_no_fault(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    """It is looked at once in some seconds only, and has no number of turns that ends."""
    old = Replica(HERE)
    await consume(old)
    packet = packets(NEXT)[0]
    await publisher.publish(packet, DELIVERIES)
    await eventually(lambda: old.left.total() == 2, within=60, what="the second look")
    waiting = await queues.take(delay_queue(NEIGHBOUR_AWAY))
    assert (waiting.body, waiting.type) == (packet.body, packet.kind)
    assert waiting.headers["conduit-meta"] == packet.meta.decode()
    assert waiting.headers["conduit-version"] == NEXT
    assert waiting.headers["conduit-faults"] == 0
    assert waiting.headers.get("x-delivery-count", 0) == 0
    assert old.left.total() == 2


async def _is_empty(queues: Queues) -> bool:
    return await queues.count(DELIVERIES) == 0
