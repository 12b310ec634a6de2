"""What is kept of a mail beside the log of its attempts: where it stands, and the mail itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.delivery import DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.messages import UNDER_WAY
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.mailroom import MAIL, Mailroom
from tests.support.polling import eventually

RETENTION = timedelta(days=3)
AUTHENTICATION = AuthResults(
    Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com"),
    (),
    Dmarc(DmarcStatus.PASS, "example.com", "reject"),
    Arc(ArcStatus.NONE),
)


async def test_a_mail_is_kept_with_its_first_record(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.attempts(webhook, 1)
    assert await mailroom.kept(event) == MAIL
    [chunk] = await mailroom.chunks(event)
    assert chunk["expires_at"] == event.received_at + RETENTION


async def test_a_mail_to_several_webhooks_is_kept_once(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhooks = [await mailroom.webhook(receiver.url) for _ in range(3)]
    event = await mailroom.accept(webhooks[0])
    for webhook in webhooks[1:]:
        delivery_id = new_id(Prefix.DELIVERY)
        await mailroom.publish(replace(event, delivery_id=delivery_id, webhook_id=webhook.id))
    for webhook in webhooks:
        await mailroom.attempts(webhook, 1)
    assert len(await mailroom.chunks(event)) == 1


async def test_a_mail_that_waits_for_its_slot_is_on_record(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url, rate_limit=1)
    await mailroom.accept(webhook)
    await receiver.wait_for(1)
    waiting = await mailroom.accept(webhook)
    delivery = await eventually(lambda: mailroom.delivery(waiting), what="the record")
    assert (delivery["state"], delivery["attempts"]) == (DeliveryState.PENDING, 0)
    assert delivery["subject"] == "Hello"
    assert delivery["next_attempt_at"] > utc_now() + timedelta(seconds=30)
    assert await mailroom.kept(waiting) == MAIL


async def test_who_a_mail_is_from_is_told_and_recorded(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    found = await mailroom.accept(webhook)
    await mailroom.attempts(webhook, 1)
    event = replace(
        found,
        delivery_id=new_id(Prefix.DELIVERY),
        envelope=replace(found.envelope, tag="2026"),
        authentication=AUTHENTICATION,
    )
    await mailroom.publish(event)
    first, second = [request.json() for request in await receiver.wait_for(2)]
    assert not {"tag", "authentication"} & first.keys()
    assert second["tag"] == "2026"
    assert second["authentication"]["dmarc"]["result"] == "pass"
    await mailroom.attempts(webhook, 2)
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert (delivery["tag"], delivery["authentication"]["spf"]["status"]) == ("2026", "pass")


async def test_a_replay_is_told_as_one(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.attempts(webhook, 1)
    again = replace(
        event.by_reference(), delivery_id=new_id(Prefix.DELIVERY), replay_of=event.delivery_id
    )
    await mailroom.publish(again)
    first, second = await receiver.wait_for(2)
    assert (first.webhook_id, second.webhook_id) == (event.delivery_id, again.delivery_id)
    told = second.json()
    assert "replay_of" not in first.json()
    assert (told.pop("id"), told.pop("replay_of")) == (again.delivery_id, event.delivery_id)
    assert first.json() == {**told, "id": event.delivery_id}
    attempts = await mailroom.attempts(webhook, 2)
    assert [attempt.replay_of for attempt in attempts] == [None, event.delivery_id]
    delivery = await mailroom.delivery(again)
    assert delivery is not None
    assert delivery["replay_of"] == event.delivery_id
    assert delivery["received_at"] == event.received_at
    assert (delivery["helo"], delivery["remote_ip"]) == ("mx.example.com", "192.0.2.1")


async def test_what_travels_by_reference_is_held_beyond_its_next_attempt(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(500)
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook, stored=True)
    before = await mailroom.chunks(event)
    await mailroom.attempts(webhook, 2)
    [chunk] = await mailroom.chunks(event)
    assert chunk["expires_at"] > before[0]["expires_at"]
    assert chunk["expires_at"] > utc_now() + UNDER_WAY


async def test_what_a_crash_left_out_of_the_records_is_made_up_for(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    """The attempt was written before the crash, the delivery and the mail were not."""
    await asyncio.to_thread(dispatcher_stack.stop_program, "dispatcher")
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.crash_after_recording(event, result=Result.DELIVERED)
    dispatcher_stack.start_program("dispatcher")
    delivery = await eventually(lambda: mailroom.delivery(event), within=20, what="the record")
    assert (delivery["state"], delivery["attempts"]) == (DeliveryState.DELIVERED, 1)
    assert await mailroom.kept(event) == MAIL
    assert len(await mailroom.attempts(webhook, 1)) == 1
    assert receiver.requests == []
