"""The state of deliveries on every server: the latest attempt's word stands."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.delivery import Delivery, DeliveryState
from conduit.store.connection import Store
from conduit.store.deliveries import Deliveries

RETENTION = timedelta(days=30)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def deliveries(store: Store) -> Deliveries:
    """The collection of deliveries."""
    return Deliveries(store, RETENTION)


def delivery(identifier: str, attempts: int, state: DeliveryState) -> Delivery:
    return Delivery(
        id=identifier,
        webhook_id="wh_1",
        account_id="acc_1",
        message_id="msg_1",
        smtp_message_id="<1@example.com>",
        sender="",
        recipients=("a@example.com", "b@example.com"),
        subject="Grüße",
        size=4096,
        state=state,
        attempts=attempts,
        next_attempt_at=NOON if state is DeliveryState.PENDING else None,
        received_at=NOON,
        updated_at=NOON,
    )


async def kept(store: Store, identifier: str) -> dict[str, Any]:
    document = await store.collection("deliveries").find_one({"_id": identifier})
    assert document is not None
    return document


async def test_each_attempt_replaces_the_state_before(store: Store, deliveries: Deliveries) -> None:
    await deliveries.put([delivery("dlv_1", 1, DeliveryState.PENDING)])
    await deliveries.put([delivery("dlv_1", 2, DeliveryState.DELIVERED)])
    document = await kept(store, "dlv_1")
    assert (document["attempts"], document["state"]) == (2, DeliveryState.DELIVERED)
    assert document["next_attempt_at"] is None
    assert document["expires_at"] == NOON + RETENTION


async def test_a_late_word_of_an_earlier_attempt_changes_nothing(
    store: Store, deliveries: Deliveries
) -> None:
    await deliveries.put([delivery("dlv_1", 2, DeliveryState.DELIVERED)])
    await deliveries.put(
        [
            delivery("dlv_1", 1, DeliveryState.PENDING),
            delivery("dlv_2", 1, DeliveryState.PENDING),
        ]
    )
    assert (await kept(store, "dlv_1"))["state"] == DeliveryState.DELIVERED
    assert (await kept(store, "dlv_2"))["state"] == DeliveryState.PENDING


async def test_the_same_attempt_can_be_written_again(store: Store, deliveries: Deliveries) -> None:
    for _ in range(2):
        await deliveries.put([delivery("dlv_1", 1, DeliveryState.FAILED)])
    assert (await kept(store, "dlv_1"))["attempts"] == 1
