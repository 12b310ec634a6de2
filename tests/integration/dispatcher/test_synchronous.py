"""Mail whose sender waits: asked over the bus as the ingest asks, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from conduit.bus.connection import open_bus
from conduit.bus.rpc import RpcClient
from conduit.bus.topology import DELIVERIES, LANES
from conduit.events import MailAccepted
from conduit.model.delivery import DeliveryState, Result
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.settings import BusSettings
from conduit_local.receiver import Answer, Receiver
from conduit_local.signatures import conduit_is_valid, standard_is_valid
from conduit_local.stack import Stack
from conduit_smtp_ingest.synchronous import SyncDelivery
from tests.integration.dispatcher.conftest import SYNC_LIMIT_PER_WEBHOOK
from tests.support.mailroom import MAIL, SECRET, Mailroom
from tests.support.polling import eventually

SYNC, THEN_QUEUED = DeliveryMode.SYNC, DeliveryMode.SYNC_THEN_QUEUED
FAILED = "450 4.3.0 The receiving application does not answer, try again later"
REFUSED = "550 5.3.0 The receiving application refused the mail"
OVER_RATE = "450 4.7.1 Too much mail for this address, try again later"
PAUSED = "450 4.3.0 Deliveries to this address are paused, try again later"
LEFT_ALONE = "450 4.3.0 The endpoint of this address fails at present, try again later"
AWAY = "451 4.3.0 Temporary failure, try again later"


def mail_to(webhook: Webhook, raw: bytes | None = MAIL) -> MailAccepted:
    """Return the event of a mail that has just come."""
    return MailAccepted(
        delivery_id=new_id(Prefix.DELIVERY),
        message_id=new_id(Prefix.MESSAGE),
        webhook_id=webhook.id,
        envelope=Envelope("ann@example.com", (webhook.address,), "mx.example.com", "192.0.2.1"),
        received_at=utc_now(),
        size=len(raw or b""),
        raw=raw,
    )


def saying(status: int, code: str | None, message: str | None = None) -> Answer:
    """Return an answer with a word for the mail's sender."""
    headers = {"X-Conduit-SMTP-Code": code, "x-conduit-smtp-message": message}
    return Answer(status, {name: value for name, value in headers.items() if value is not None})


class Ingest:
    """Asks as the ingest does, and returns the reply to the sender."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self.lane = DELIVERIES

    async def reply(
        self, event: MailAccepted, mode: DeliveryMode = SYNC, *, wait: float = 20
    ) -> str:
        """Return the line that the sender gets, who waits for so many seconds."""
        delivery = SyncDelivery(
            self._rpc, lambda _: self.lane, sync_timeout=wait, queued_timeout=wait
        )
        return str((await delivery.deliver(event, mode)).reply)


@pytest.fixture
async def ingest(dispatcher_stack: Stack) -> AsyncIterator[Ingest]:
    """Asks over the dispatcher's bus."""
    async with open_bus(BusSettings(amqp_url=dispatcher_stack.urls.amqp)) as bus:
        rpc = RpcClient(bus)
        await rpc.open()
        yield Ingest(rpc)


async def expect_state(
    mailroom: Mailroom, event: MailAccepted, state: DeliveryState, attempts: int
) -> None:
    """The delivery is on record like this."""

    async def found() -> bool:
        delivery = await mailroom.delivery(event)
        return delivery is not None and (delivery["state"], delivery["attempts"]) == (
            state,
            attempts,
        )

    await eventually(found, within=15, what=f"a {state} delivery after {attempts} attempts")


async def test_the_sender_hears_that_the_endpoint_has_the_mail(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    event = mail_to(webhook)
    assert await ingest.reply(event) == f"250 2.0.0 delivered as {event.delivery_id}"
    [call] = receiver.requests
    assert call.webhook_id == event.delivery_id
    assert conduit_is_valid(SECRET, call.headers, call.body)
    assert standard_is_valid(SECRET, call.headers, call.body)
    assert call.json()["subject"] == "Hello"
    [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.number, attempt.result, attempt.http_status) == (1, Result.DELIVERED, 200)
    await expect_state(mailroom, event, DeliveryState.DELIVERED, 1)
    assert await mailroom.messages.get(event.message_id) == MAIL


@pytest.mark.parametrize(
    ("status", "line", "result"),
    [
        (204, "250 2.0.0 delivered as", Result.DELIVERED),
        (302, REFUSED, Result.PERMANENT),
        (404, REFUSED, Result.PERMANENT),
        (429, FAILED, Result.TRANSIENT),
        (503, FAILED, Result.TRANSIENT),
    ],
)
async def test_the_answer_decides_the_reply_and_there_is_one_attempt(
    mailroom: Mailroom,
    receiver: Receiver,
    ingest: Ingest,
    status: int,
    line: str,
    result: Result,
) -> None:
    receiver.always_answer(status)
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    event = mail_to(webhook)
    assert (await ingest.reply(event)).startswith(line)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.result, attempt.http_status) == (result, status)
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert (delivery["state"], delivery["next_attempt_at"]) == (
        DeliveryState.DELIVERED if result is Result.DELIVERED else DeliveryState.FAILED,
        None,
    )
    assert await mailroom.messages.get(event.message_id) == MAIL


async def test_an_endpoint_that_is_gone_refuses_and_is_switched_off(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(410)
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    assert await ingest.reply(mail_to(webhook)) == REFUSED
    changed = await mailroom.webhooks.of_id(webhook.id)
    assert changed is not None
    assert not changed.active


async def test_an_endpoint_that_is_down_defers_the_mail(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    await receiver.close()
    assert await ingest.reply(mail_to(webhook)) == FAILED
    [attempt] = await mailroom.attempts(webhook, 1)
    assert "cannot connect" in (attempt.error or "")


@pytest.mark.parametrize(
    ("answer", "line", "result"),
    [
        (saying(200, "550", "5.1.1 No such man"), "550 5.1.1 No such man", Result.PERMANENT),
        (saying(200, "452"), "452 4.3.0 " + FAILED[10:], Result.TRANSIENT),
        (saying(500, "250", "Taken"), "250 2.0.0 Taken", Result.DELIVERED),
        (saying(404, "421", "Closed"), "450 4.3.0 Closed", Result.TRANSIENT),
        (saying(404, None, "Grüße"), "550 5.3.0 Gr??e", Result.PERMANENT),
        (saying(503, "354", "Go ahead"), "450 4.3.0 Go ahead", Result.TRANSIENT),
        (saying(503, "0250"), FAILED, Result.TRANSIENT),
    ],
)
async def test_the_endpoint_can_say_what_the_sender_is_told(
    mailroom: Mailroom,
    receiver: Receiver,
    ingest: Ingest,
    answer: Answer,
    line: str,
    result: Result,
) -> None:
    receiver.always_answer(answer)
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    assert await ingest.reply(mail_to(webhook)) == line
    [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.result, attempt.http_status) == (result, answer.status)


async def test_queued_mail_does_not_mind_what_a_sender_were_to_be_told(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.always_answer(saying(200, "550"))
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await expect_state(mailroom, event, DeliveryState.DELIVERED, 1)


async def test_mail_over_the_rate_is_deferred_uncalled_and_takes_no_slot(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC, rate_limit=1)
    assert (await ingest.reply(mail_to(webhook))).startswith("250 ")
    before = await mailroom.next_slot(webhook)
    over = mail_to(webhook)
    assert await ingest.reply(over) == OVER_RATE
    assert await mailroom.next_slot(webhook) == before
    assert len(receiver.requests) == 1
    assert await mailroom.delivery(over) is None


async def test_two_mails_at_once_are_not_over_a_high_rate(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC, rate_limit=300)
    replies = await asyncio.gather(*(ingest.reply(mail_to(webhook)) for _ in range(2)))
    assert [line[:3] for line in replies] == ["250", "250"]
    first, second = receiver.requests
    assert second.at - first.at >= 0.15


async def test_a_slow_endpoint_holds_the_sender_no_longer_than_it_waits(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(Answer(delay=30))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    event = mail_to(webhook)
    async with asyncio.timeout(10):
        assert await ingest.reply(event, wait=1) == FAILED
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.TRANSIENT
    assert attempt.duration_ms < 1000
    await expect_state(mailroom, event, DeliveryState.FAILED, 1)


async def test_a_slow_endpoint_has_no_more_than_its_places(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(Answer(delay=30), path="/slow")
    slow = await mailroom.webhook(f"{receiver.url}/slow", delivery_mode=SYNC)
    quick = await mailroom.webhook(f"{receiver.url}/quick", delivery_mode=SYNC)
    waiting = [
        asyncio.create_task(ingest.reply(mail_to(slow))) for _ in range(SYNC_LIMIT_PER_WEBHOOK)
    ]
    await receiver.wait_for(SYNC_LIMIT_PER_WEBHOOK, path="/slow")
    assert await ingest.reply(mail_to(slow)) == OVER_RATE
    assert (await ingest.reply(mail_to(quick))).startswith("250 ")
    assert set(await asyncio.gather(*waiting)) == {FAILED}


async def test_a_question_that_nobody_took_in_time_is_never_posted(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest, dispatcher_stack: Stack
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    await asyncio.to_thread(dispatcher_stack.stop_program, "dispatcher")
    assert await ingest.reply(mail_to(webhook), wait=1) == FAILED
    dispatcher_stack.start_program("dispatcher")
    later = mail_to(webhook)
    assert (await ingest.reply(later, wait=100)).startswith("250 ")
    assert [call.webhook_id for call in receiver.requests] == [later.delivery_id]


async def test_a_mail_of_long_ago_is_not_posted(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    event = replace(mail_to(webhook), received_at=utc_now() - timedelta(minutes=5))
    assert await ingest.reply(event) == AWAY
    assert receiver.requests == []


async def test_a_mail_too_large_for_the_bus_comes_from_the_store(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    raw = b"Subject: large\r\n\r\n" + b"x" * 70 * 14_000 + b"\r\n"
    event = mail_to(webhook, raw)
    await mailroom.messages.put(Message(event.message_id, event.received_at, raw))
    assert (await ingest.reply(event.by_reference())).startswith("250 ")
    [call] = receiver.requests
    assert call.json()["subject"] == "large"


async def test_a_crash_during_the_call_repeats_it_under_the_same_id_while_the_sender_waits(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest, dispatcher_stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=1))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    event = mail_to(webhook)
    sender = asyncio.create_task(ingest.reply(event, wait=100))
    await receiver.wait_for(1)
    dispatcher_stack.kill("dispatcher")
    assert await sender == f"250 2.0.0 delivered as {event.delivery_id}"
    assert [call.webhook_id for call in receiver.requests] == [event.delivery_id] * 2
    assert len(await mailroom.attempts(webhook, 1)) == 1
    await asyncio.to_thread(dispatcher_stack.wait_ready)


async def test_a_crash_that_outlasts_the_question_leaves_it_unposted(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest, dispatcher_stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=30))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    sender = asyncio.create_task(ingest.reply(mail_to(webhook), wait=5))
    await receiver.wait_for(1)
    dispatcher_stack.kill("dispatcher")
    await asyncio.to_thread(dispatcher_stack.stop_program, "dispatcher")
    assert await sender == FAILED
    seen = len(receiver.requests)
    dispatcher_stack.start_program("dispatcher")
    other = await mailroom.webhook(f"{receiver.url}/other", delivery_mode=SYNC)
    assert (await ingest.reply(mail_to(other), wait=100)).startswith("250 ")
    assert len(receiver.at("/")) == seen


async def test_no_backlog_of_queued_mail_is_before_who_waits(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(Answer(delay=30), path="/slow")
    slow = await mailroom.webhook(f"{receiver.url}/slow")
    backlog = 700  # three and a half times what is under way at a time, each for two seconds
    await asyncio.gather(*(mailroom.publish(mail_to(slow)) for _ in range(backlog)))
    webhook = await mailroom.webhook(f"{receiver.url}/now", delivery_mode=SYNC)
    assert (await ingest.reply(mail_to(webhook))).startswith("250 ")
    assert len(receiver.at("/slow")) < backlog
    await mailroom.webhooks.delete_owned(slow.account_id, slow.id)


async def test_mail_of_a_webhook_that_is_deleted_or_switched_off_meanwhile_is_refused(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    deleted = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    await mailroom.webhooks.delete_owned(deleted.account_id, deleted.id)
    off = await mailroom.webhook(receiver.url, delivery_mode=SYNC, active=False)
    for mode in (SYNC, THEN_QUEUED):
        assert await ingest.reply(mail_to(deleted), mode) == REFUSED
        assert await ingest.reply(mail_to(off), mode) == REFUSED
    attempts = await mailroom.attempts(off, 2)
    assert {attempt.error for attempt in attempts} == {"the webhook is switched off"}
    assert receiver.requests == []


async def test_mail_of_a_paused_webhook_is_deferred_uncalled_and_on_record(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url, delivery_mode=SYNC))
    event = mail_to(webhook)
    assert await ingest.reply(event) == PAUSED
    await expect_state(mailroom, event, DeliveryState.FAILED, 1)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.error == "not called, since the webhook is paused"
    assert receiver.requests == []
    queued = mail_to(webhook)
    assert await ingest.reply(queued, THEN_QUEUED) == f"250 2.0.0 queued as {queued.delivery_id}"
    [held] = await mailroom.held(webhook, 1)
    assert held.id == queued.delivery_id


async def test_mail_for_an_endpoint_that_is_left_alone_is_deferred_at_once_and_on_record(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC, rate_limit=1)
    await mailroom.leave_alone(webhook, timedelta(hours=1))
    event = mail_to(webhook)
    assert await ingest.reply(event) == LEFT_ALONE
    await expect_state(mailroom, event, DeliveryState.FAILED, 1)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.TRANSIENT
    assert "the endpoint fails" in (attempt.error or "")
    assert receiver.requests == []


async def test_one_mail_whose_sender_waits_is_the_probe(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(Answer(delay=1))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=SYNC)
    await mailroom.leave_alone(webhook, timedelta(seconds=-1))
    replies = await asyncio.gather(*(ingest.reply(mail_to(webhook)) for _ in range(3)))
    assert sorted(line[:3] for line in replies) == ["250", "450", "450"]
    assert len(receiver.requests) == 1
    assert await mailroom.healths.of_id(webhook.id) is None
    assert (await ingest.reply(mail_to(webhook))).startswith("250 ")


@pytest.mark.parametrize("lane", LANES)
async def test_then_queued_tells_of_a_quick_first_attempt(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest, lane: str
) -> None:
    ingest.lane = lane
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED)
    event = mail_to(webhook)
    line = await ingest.reply(event, THEN_QUEUED)
    assert line == f"250 2.0.0 delivered as {event.delivery_id}"
    await expect_state(mailroom, event, DeliveryState.DELIVERED, 1)


async def test_then_queued_tells_of_a_refusal_and_keeps_the_mail(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.always_answer(saying(200, "554", "5.7.1 Not from you"))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED)
    event = mail_to(webhook)
    assert await ingest.reply(event, THEN_QUEUED) == "554 5.7.1 Not from you"
    assert await mailroom.dead(event) == event
    await expect_state(mailroom, event, DeliveryState.FAILED, 1)


async def test_then_queued_goes_on_by_itself_after_a_transient_answer(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.answer(503, saying(200, "450"), 200)
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED)
    event = mail_to(webhook)
    assert await ingest.reply(event, THEN_QUEUED) == f"250 2.0.0 queued as {event.delivery_id}"
    attempts = await mailroom.attempts(webhook, 3)
    assert [attempt.result for attempt in attempts] == [
        Result.TRANSIENT,
        Result.TRANSIENT,
        Result.DELIVERED,
    ]


async def test_then_queued_waits_no_longer_than_it_is_to(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    receiver.answer(Answer(delay=1))
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED)
    event = mail_to(webhook)
    line = await ingest.reply(event, THEN_QUEUED, wait=0.2)
    assert line == f"250 2.0.0 queued as {event.delivery_id}"
    await expect_state(mailroom, event, DeliveryState.DELIVERED, 1)


async def test_then_queued_is_durable_while_no_dispatcher_is_there(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest, dispatcher_stack: Stack
) -> None:
    await asyncio.to_thread(dispatcher_stack.stop_program, "dispatcher")
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED)
    event = mail_to(webhook)
    line = await ingest.reply(event, THEN_QUEUED, wait=0.2)
    assert line == f"250 2.0.0 queued as {event.delivery_id}"
    dispatcher_stack.start_program("dispatcher")
    [call] = await receiver.wait_for(1, timeout=30)
    assert call.webhook_id == event.delivery_id


async def test_then_queued_over_the_rate_is_queued_at_once(
    mailroom: Mailroom, receiver: Receiver, ingest: Ingest
) -> None:
    webhook = await mailroom.webhook(receiver.url, delivery_mode=THEN_QUEUED, rate_limit=1)
    assert (await ingest.reply(mail_to(webhook), THEN_QUEUED)).startswith("250 2.0.0 delivered")
    paced = mail_to(webhook)
    async with asyncio.timeout(20):
        line = await ingest.reply(paced, THEN_QUEUED, wait=60)
    assert line == f"250 2.0.0 queued as {paced.delivery_id}"
    await expect_state(mailroom, paced, DeliveryState.PENDING, 0)
