"""Replays: one or many mails on the queue once more, as they came."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from conduit.bus.connection import Bus, open_bus
from conduit.bus.packets import from_message
from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK, LANES
from conduit.events import MailAccepted, decode
from conduit.model.delivery import DeliveryState
from conduit.model.record import utc_now
from conduit.settings import BusSettings
from conduit.store.connection import Store
from conduit_api.replays import LARGEST
from conduit_local.stack import Stack
from tests.integration.api.client import User
from tests.integration.api.mail import AUTHENTICATION, Mail
from tests.integration.api.test_outage import assert_unavailable, stopped

Queued = Callable[..., Awaitable[list[MailAccepted]]]
NOWHERE = "log_01arz3ndektsv4rrffq69g5fav"


@pytest.fixture
async def bus(stack: Stack) -> AsyncIterator[Bus]:
    """The service's bus."""
    async with open_bus(BusSettings(amqp_url=stack.urls.amqp)) as bus:
        yield bus


@pytest.fixture
async def queued(bus: Bus) -> Queued:
    """Takes so many events from a queue of deliveries; there must be no others."""
    channel = await bus.channel()
    queues = {lane: await channel.get_queue(lane, ensure=False) for lane in LANES}
    for queue in queues.values():
        await queue.purge()

    async def take(count: int, lane: str = DELIVERIES) -> list[MailAccepted]:
        events = []
        for _ in range(count):
            message = await queues[lane].get(timeout=5)
            assert message is not None
            event = decode(from_message(message))
            assert isinstance(event, MailAccepted)
            events.append(event)
            await message.ack()
        for queue in queues.values():
            assert await queue.get(fail=False) is None
        return events

    return take


async def test_a_mail_is_replayed_as_it_came(resident: User, mail: Mail, queued: Queued) -> None:
    webhook = await resident.new_webhook()
    delivery, [attempt] = await mail.handled(webhook["id"], minutes_ago=60)
    base = f"/webhooks/{webhook['id']}"
    replay = (await resident.client.post(f"{base}/logs/{attempt.id}/replay")).expect(202)
    assert replay["replay_of"] == delivery.id
    assert replay["delivery_id"] != delivery.id
    [event] = await queued(1)
    assert (event.delivery_id, event.replay_of) == (replay["delivery_id"], delivery.id)
    assert (event.message_id, event.raw, event.attempt) == (delivery.message_id, None, 1)
    assert (event.envelope, event.received_at) == (delivery.envelope, delivery.received_at)
    assert (event.webhook_id, event.size) == (delivery.webhook_id, delivery.size)
    pending = (await resident.client.get(f"{base}/deliveries/{event.delivery_id}")).expect(200)
    assert (pending["state"], pending["attempts"]) == ("pending", 0)
    assert pending["replay_of"] == delivery.id
    original = (await resident.client.get(f"{base}/deliveries/{delivery.id}")).expect(200)
    assert original["timeline"][-1] == {"event": "replayed", "at": original["replayed_at"]}


async def test_a_replay_knows_who_the_mail_is_from(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    _, [attempt] = await mail.handled(webhook["id"], tag="2026", authentication=AUTHENTICATION)
    path = f"/webhooks/{webhook['id']}/logs/{attempt.id}/replay"
    (await resident.client.post(path)).expect(202)
    [event] = await queued(1)
    assert (event.authentication, event.envelope.tag) == (AUTHENTICATION, "2026")


async def test_a_replay_of_a_replay_names_the_first_delivery(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    first = "dlv_01arz3ndektsv4rrffq69g5fav"
    _, [attempt] = await mail.handled(webhook["id"], replay_of=first)
    path = f"/webhooks/{webhook['id']}/logs/{attempt.id}/replay"
    assert (await resident.client.post(path)).expect(202)["replay_of"] == first
    assert [event.replay_of for event in await queued(1)] == [first]


async def test_a_mail_is_held_for_its_replay(resident: User, mail: Mail, store: Store) -> None:
    webhook = await resident.new_webhook()
    delivery, [attempt] = await mail.handled(webhook["id"], minutes_ago=3 * 24 * 60 - 5)
    await resident.client.post(f"/webhooks/{webhook['id']}/logs/{attempt.id}/replay")
    chunk = await store.collection("messages").find_one({"_id": f"{delivery.message_id}:0"})
    assert chunk is not None
    assert chunk["expires_at"] > utc_now()
    assert (chunk["expires_at"] - utc_now()).days >= 2


async def test_what_cannot_be_replayed_says_why(resident: User, mail: Mail, queued: Queued) -> None:
    webhook = await resident.new_webhook()
    delivery, [attempt] = await mail.handled(webhook["id"])
    path = f"/webhooks/{webhook['id']}"
    await mail.gone(delivery)
    gone = await resident.client.post(f"{path}/logs/{attempt.id}/replay")
    assert gone.failure == (409, "message_not_kept")
    (await resident.client.put(path, {"active": False})).expect(200)
    for reply in (
        await resident.client.post(f"{path}/logs/{attempt.id}/replay"),
        await resident.client.post(f"{path}/deliveries/replay", {}),
    ):
        assert reply.failure == (409, "webhook_inactive")
    missing = await resident.client.post(f"{path}/logs/{NOWHERE}/replay")
    assert missing.failure == (404, "not_found")
    assert await queued(0) == []


async def test_failed_mails_are_replayed_once_each_the_oldest_first(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    failed = [
        (await mail.handled(webhook["id"], minutes_ago=minutes))[0] for minutes in (30, 20, 10)
    ]
    for state in (DeliveryState.DELIVERED, DeliveryState.PENDING):
        await mail.handled(webhook["id"], state)
    path = f"/webhooks/{webhook['id']}/deliveries/replay"
    first = (await resident.client.post(path, {"limit": 2})).expect(202)
    assert (first["queued"], first["not_kept"], first["more"]) == (2, 0, True)
    body = {"limit": 2, "cursor": first["cursor"]}
    assert (await resident.client.post(path, body)).expect(202) == {
        "queued": 1,
        "not_kept": 0,
        "more": False,
    }
    again = (await resident.client.post(path, {})).expect(202)
    assert again == {"queued": 0, "not_kept": 0, "more": False}
    events = await queued(3, DELIVERIES_BULK)
    assert {event.replay_of for event in events} == {delivery.id for delivery in failed}


async def test_mails_that_are_not_kept_are_passed_over(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    for minutes in (30, 20):
        await mail.handled(webhook["id"], raw=None, minutes_ago=minutes)
    kept, _ = await mail.handled(webhook["id"])
    path = f"/webhooks/{webhook['id']}/deliveries/replay"
    first = (await resident.client.post(path, {"limit": 2})).expect(202)
    assert (first["queued"], first["not_kept"], first["more"]) == (0, 2, True)
    rest = (await resident.client.post(path, {"cursor": first["cursor"]})).expect(202)
    assert (rest["queued"], rest["more"]) == (1, False)
    assert [event.replay_of for event in await queued(1, DELIVERIES_BULK)] == [kept.id]


async def test_a_state_and_a_time_can_be_asked_for(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    wanted, _ = await mail.handled(webhook["id"], DeliveryState.DELIVERED, minutes_ago=20)
    await mail.handled(webhook["id"], DeliveryState.DELIVERED, minutes_ago=30)
    later, _ = await mail.handled(webhook["id"], DeliveryState.DELIVERED, minutes_ago=10)
    body = {
        "state": "delivered",
        "from": wanted.received_at.isoformat(),
        "to": later.received_at.isoformat(),
    }
    path = f"/webhooks/{webhook['id']}/deliveries/replay"
    assert (await resident.client.post(path, body)).expect(202)["queued"] == 1
    assert [event.replay_of for event in await queued(1, DELIVERIES_BULK)] == [wanted.id]


@pytest.mark.parametrize(
    "body",
    [
        {"sender": "bob@example.com"},
        {"message_id": "2@example.com"},
        {"message_id": "<2@example.com>"},
    ],
    ids=str,
)
async def test_a_sender_and_a_message_can_be_asked_for(
    resident: User, mail: Mail, queued: Queued, body: dict[str, str]
) -> None:
    webhook = await resident.new_webhook()
    await mail.handled(webhook["id"])
    wanted, _ = await mail.handled(
        webhook["id"], sender="bob@example.com", smtp_message_id="<2@example.com>"
    )
    path = f"/webhooks/{webhook['id']}/deliveries/replay"
    assert (await resident.client.post(path, body)).expect(202)["queued"] == 1
    assert [event.replay_of for event in await queued(1, DELIVERIES_BULK)] == [wanted.id]


async def test_as_many_are_replayed_as_one_request_may(
    resident: User, mail: Mail, queued: Queued
) -> None:
    webhook = await resident.new_webhook()
    await asyncio.gather(*(mail.handled(webhook["id"]) for _ in range(120)))
    path = f"/webhooks/{webhook['id']}/deliveries/replay"
    done = (await resident.client.post(path, {"limit": LARGEST})).expect(202)
    assert done == {"queued": 120, "not_kept": 0, "more": False}
    assert len({event.delivery_id for event in await queued(120, DELIVERIES_BULK)}) == 120


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"state": "pending"}, (422, "validation_error")),
        ({"limit": 0}, (422, "validation_error")),
        ({"limit": LARGEST + 1}, (422, "validation_error")),
        ({"from": "yesterday"}, (422, "validation_error")),
        ({"from": None}, (422, "validation_error")),
        ({"cursor": "1"}, (422, "validation_error")),
        (
            {"cursor": "999999999999999999-dlv_01arz3ndektsv4rrffq69g5fav"},
            (422, "validation_error"),
        ),
        ({"sender": 1}, (422, "validation_error")),
        ({"recipient": "a@example.org"}, (422, "unknown_field")),
    ],
)
async def test_wrong_filters_are_refused(
    resident: User, body: object, failure: tuple[int, str]
) -> None:
    webhook = await resident.new_webhook()
    reply = await resident.client.post(f"/webhooks/{webhook['id']}/deliveries/replay", body)
    assert reply.failure == failure


async def test_replays_are_audited(user: User, mail: Mail, queued: Queued) -> None:
    webhook = await user.new_webhook()
    _, [attempt] = await mail.handled(webhook["id"])
    await mail.handled(webhook["id"])
    path = f"/webhooks/{webhook['id']}"
    replay = (await user.client.post(f"{path}/logs/{attempt.id}/replay")).expect(202)
    (await user.client.post(f"{path}/deliveries/replay", {})).expect(202)
    entries = (await user.client.get("/accounts/me/audit-log")).expect(200)
    told = [entry for entry in entries if entry["action"] == "deliveries.replayed"]
    assert [entry["subject"] for entry in told] == [webhook["id"]] * 2
    assert [entry["details"] for entry in told] == [
        {"queued": "1"},
        {"delivery": replay["delivery_id"]},
    ]


async def test_without_the_broker_nothing_is_replayed(
    resident: User, mail: Mail, stack: Stack
) -> None:
    webhook = await resident.new_webhook()
    _, [attempt] = await mail.handled(webhook["id"])
    path = f"/webhooks/{webhook['id']}"
    with stopped(stack, "rabbitmq"):
        assert_unavailable(await resident.client.post(f"{path}/logs/{attempt.id}/replay"))
        assert_unavailable(await resident.client.post(f"{path}/deliveries/replay", {}))
    deliveries = (await resident.client.get(f"{path}/deliveries")).expect(200)
    assert [("replayed_at" in delivery, delivery["state"]) for delivery in deliveries] == [
        (False, "failed")
    ]
