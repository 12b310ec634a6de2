"""Everything that is declared on RabbitMQ, in one place.

One direct exchange; each queue is bound to it under its own name. A queue is first in, first out,
so mail has two lanes: `deliveries`, on which a webhook has no more than its share, and
`deliveries.bulk` for what is beyond it and for all that is in no hurry.

Delays are queues without a consumer whose messages expire back into the lane that they belong to. A
queue has one fixed TTL, because messages expire only at its head. A longer delay, or one between
two of these, takes several hops.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

EXCHANGE = "conduit"
DELIVERIES = "deliveries"
DELIVERIES_BULK = "deliveries.bulk"
DELIVERIES_DEAD = "deliveries.dead"
DELIVERIES_SYNC = "deliveries.sync"
DOMAINS_VERIFY = "domains.verify"
WEBHOOKS_SIMULATE = "webhooks.simulate"

LANES = (DELIVERIES, DELIVERIES_BULK)
"""Queues of mail for the dispatchers, each with delay queues of its own."""

DELAYS = (1, 5, 10, 30, 60, 120, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400)
"""Seconds for which each lane has a delay queue."""

DEAD_KEPT = 14 * 86_400
"""Seconds that a mail stays in the dead-letter queue."""

_LATE = 1.5  # times a wait that need not be exact

_DELIVERY_LIMIT = 20
"""Redeliveries of one message, each after a crash, before it is dead-lettered."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and its optional arguments."""

    name: str
    arguments: dict[str, str | int] = field(default_factory=dict)

    @property
    def declared(self) -> dict[str, str | int]:
        """All arguments of its declaration."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": _DELIVERY_LIMIT,
            **self.arguments,
        }


def delay_queue(seconds: float, lane: str = DELIVERIES) -> str:
    """Return the queue of the longest delay within `seconds`, or else of the shortest there is.

    What expires there comes back to `lane`.
    """
    position = bisect_right(DELAYS, seconds)
    return _delay_name(lane, DELAYS[max(position - 1, 0)])


def rough_delay(seconds: float) -> int:
    """Return the delay to take towards a wait that need not be exact, so that it is few hops.

    It is over the wait by half of it at most, or it is the longest within.
    """
    position = bisect_left(DELAYS, seconds)
    if position < len(DELAYS) and DELAYS[position] <= max(seconds * _LATE, DELAYS[0]):
        return DELAYS[position]
    return DELAYS[max(position - 1, 0)]


def _delay_name(lane: str, seconds: int) -> str:
    return f"{lane}.delay.{seconds}"


def _dead_lettering(queue: str) -> dict[str, str | int]:
    """At-least-once dead-lettering; it refuses publishes instead of dropping what is queued."""
    return {
        "x-dead-letter-exchange": EXCHANGE,
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def queues() -> Iterator[Queue]:
    """All queues. A question has no dead-letter: nobody waits for its answer any more."""
    for lane in LANES:
        yield Queue(lane, _dead_lettering(DELIVERIES_DEAD))
    yield Queue(DELIVERIES_DEAD, {"x-message-ttl": DEAD_KEPT * 1000})
    yield Queue(DELIVERIES_SYNC)
    yield Queue(DOMAINS_VERIFY)
    yield Queue(WEBHOOKS_SIMULATE)
    for lane, seconds in product(LANES, DELAYS):
        arguments = _dead_lettering(lane) | {"x-message-ttl": seconds * 1000}
        yield Queue(_delay_name(lane, seconds), arguments)


async def declare(channel: AbstractChannel) -> None:
    """Declare the exchange, the queues and their bindings; what is there already stays."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.DIRECT, durable=True)
    for queue in queues():
        declared = await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.declared)
        )
        await declared.bind(exchange, routing_key=queue.name)
