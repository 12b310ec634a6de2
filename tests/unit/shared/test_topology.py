"""The queues: what two versions of Conduit must declare alike, and where delays lead."""

import pytest

from conduit.bus.topology import (
    DELAYS,
    DELIVERIES,
    DELIVERIES_BULK,
    LANES,
    delay_queue,
    queues,
)

BACK_TO = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": "conduit",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
DECLARED = {queue.name: queue.declared for queue in queues()}


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_and_its_delays_are_declared_as_ever(lane: str) -> None:
    """RabbitMQ refuses to declare a queue with other arguments than those that it has."""
    assert DECLARED[lane] == BACK_TO | {"x-dead-letter-routing-key": "deliveries.dead"}
    for seconds in DELAYS:
        assert DECLARED[f"{lane}.delay.{seconds}"] == BACK_TO | {
            "x-dead-letter-routing-key": lane,
            "x-message-ttl": seconds * 1000,
        }


def test_no_queue_is_missing_that_was_there() -> None:
    assert [name for name in DECLARED if ".delay." not in name] == [
        "deliveries",
        "deliveries.bulk",
        "deliveries.dead",
        "deliveries.sync",
        "domains.verify",
        "webhooks.simulate",
    ]
    assert len(DECLARED) == 6 + 2 * 13


@pytest.mark.parametrize(
    ("seconds", "lane", "name"),
    [
        (0.1, DELIVERIES, "deliveries.delay.1"),
        (4.9, DELIVERIES, "deliveries.delay.1"),
        (5, DELIVERIES_BULK, "deliveries.bulk.delay.5"),
        (59, DELIVERIES_BULK, "deliveries.bulk.delay.30"),
        (10**6, DELIVERIES, "deliveries.delay.86400"),
    ],
)
def test_a_delay_is_that_of_its_lane(seconds: float, lane: str, name: str) -> None:
    assert delay_queue(seconds, lane) == name
    assert name in DECLARED
