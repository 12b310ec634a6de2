"""Mail that waits: for an endpoint that fails, for a busy one, for a webhook that is paused."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from conduit.events import MailAccepted
from conduit.model.delivery import DeliveryState, Result
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.releaser import Releaser
from conduit_local.programs import INFRASTRUCTURE
from conduit_local.receiver import Answer, Received, Receiver
from conduit_local.stack import Stack
from tests.support.mailroom import Mailroom, open_mailroom
from tests.support.polling import eventually

FAILURES = 3
PLACES = 4

SETTINGS = {
    "CONDUIT_RETRY_DELAYS": ",".join(["1"] * 20),
    "CONDUIT_RETRY_JITTER": "0",
    "CONDUIT_WEBHOOK_TIMEOUT": "3",
    "CONDUIT_DISPATCHER_WEBHOOK_CACHE": "0.05",
    "CONDUIT_DISPATCHER_LIMIT_PER_WEBHOOK": str(PLACES),
    "CONDUIT_BREAKER_FAILURES": str(FAILURES),
    "CONDUIT_BREAKER_PAUSE": "1",
    "CONDUIT_BREAKER_LONGEST_PAUSE": "2",
    "CONDUIT_MESSAGE_RETENTION_DAYS": "0",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A dispatcher that loses patience within seconds, and keeps no mail that is not needed."""
    directory = tmp_path_factory.mktemp("waiting")
    with Stack.isolated(directory, [*INFRASTRUCTURE, "dispatcher"], SETTINGS) as stack:
        yield stack


@pytest.fixture
def second(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One dispatcher more."""
    shared = {
        "CONDUIT_AMQP_URL": stack.urls.amqp,
        "CONDUIT_MONGODB_URL": stack.urls.mongodb,
        "CONDUIT_ENCRYPTION_KEYS": stack.plan.environment["CONDUIT_ENCRYPTION_KEYS"],
    }
    directory = tmp_path_factory.mktemp("second")
    with Stack.isolated(directory, ["dispatcher"], SETTINGS | shared) as second:
        yield second


@pytest.fixture
async def mailroom(stack: Stack) -> AsyncIterator[Mailroom]:
    """Puts webhooks into the store and mails onto the queue, and reads the records."""
    async with open_mailroom(stack) as mailroom:
        yield mailroom


async def accepted(mailroom: Mailroom, webhook: Webhook, count: int) -> list[MailAccepted]:
    return await asyncio.gather(*(mailroom.accept(webhook) for _ in range(count)))


async def expect_delivered(
    mailroom: Mailroom, events: list[MailAccepted], within: float = 60
) -> None:
    missing = list(events)

    async def all_delivered() -> bool:
        missing[:] = [each for each in missing if not await _is_delivered(mailroom, each)]
        return not missing

    await eventually(all_delivered, within=within, what="the delivery of all mails")


async def _is_delivered(mailroom: Mailroom, event: MailAccepted) -> bool:
    record = await mailroom.delivery(event)
    return record is not None and record["state"] == DeliveryState.DELIVERED


async def records(mailroom: Mailroom, events: list[MailAccepted]) -> list[dict[str, Any]]:
    found = [await mailroom.delivery(event) for event in events]
    return [each for each in found if each is not None]


async def expect_none_held(mailroom: Mailroom, webhook: Webhook) -> None:
    async def none_held() -> bool:
        return await mailroom.deliveries.held(webhook.id, 1) == []

    await eventually(none_held, within=20, what="the end of all holding")


async def health_of(mailroom: Mailroom, webhook: Webhook, pauses: int) -> EndpointHealth:
    """Return an endpoint's health once its calls were stopped so many times in a row."""

    async def found() -> EndpointHealth | None:
        health = await mailroom.healths.of_id(webhook.id)
        return health if health and health.pauses >= pauses else None

    health = await eventually(found, within=40, what=f"pause {pauses}")
    assert health is not None
    return health


def calls_at_a_time(calls: list[Received], seconds: float) -> int:
    """Return the most calls that were under way at a time, each taking so long."""
    return max(
        sum(1 for other in calls if 0 <= call.at - other.at < seconds * 0.95) for call in calls
    )


@pytest.mark.parametrize("dispatchers", [1, 2])
async def test_a_dead_endpoint_is_called_by_one_mail_now_and_then_until_it_is_back(
    mailroom: Mailroom, receiver: Receiver, request: pytest.FixtureRequest, dispatchers: int
) -> None:
    if dispatchers == 2:
        request.getfixturevalue("second")
    receiver.always_answer(500)
    webhook = await mailroom.webhook(receiver.url)
    events = await accepted(mailroom, webhook, 40)
    health = await health_of(mailroom, webhook, pauses=3)
    calls = len(receiver.requests)
    # Until it opened, what was under way then, and one probe for each pause that has ended.
    assert FAILURES <= calls <= FAILURES + dispatchers * PLACES + health.pauses
    waiting = await records(mailroom, events)
    uncalled = [each for each in waiting if each["attempts"] == 0]
    assert len(uncalled) >= len(events) - calls
    assert all(each["state"] == DeliveryState.PENDING for each in uncalled)
    assert all(each["next_attempt_at"] is not None for each in uncalled)
    receiver.always_answer(200)
    await expect_delivered(mailroom, events)
    numbers = Counter(each["attempts"] for each in await records(mailroom, events))
    assert numbers[1] >= len(events) - calls
    assert await mailroom.healths.of_id(webhook.id) is None
    failed = Counter(call.webhook_id for call in receiver.requests[:calls])
    assert len(receiver.requests) <= len(events) + sum(failed.values()) + 1


async def test_one_endpoint_that_fails_takes_nothing_from_another(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(503, delay=1), path="/dead")
    dead = await mailroom.webhook(f"{receiver.url}/dead")
    fine = await mailroom.webhook(f"{receiver.url}/fine")
    await accepted(mailroom, dead, 300)
    events = await accepted(mailroom, fine, 20)
    await expect_delivered(mailroom, events, within=10)
    assert await mailroom.healths.of_id(fine.id) is None
    await mailroom.webhooks.delete_owned(dead.account_id, dead.id)


async def test_retry_after_holds_for_the_other_mails_too(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(Answer(429, headers={"Retry-After": "2"}))
    webhook = await mailroom.webhook(receiver.url)
    first = await mailroom.accept(webhook)
    await mailroom.attempts(webhook, 1)
    others = await accepted(mailroom, webhook, 3)
    await expect_delivered(mailroom, [first, *others])
    refused, *calls = receiver.requests
    assert len(calls) == 4
    assert min(call.at for call in calls) - refused.at >= 1.9


async def test_a_refusal_is_no_sign_of_a_dead_endpoint(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(*[500] * (FAILURES - 1), 404)
    webhook = await mailroom.webhook(receiver.url)
    for number in range(1, FAILURES + 1):
        await mailroom.accept(webhook)
        await receiver.wait_for(number)

    async def forgotten() -> bool:
        return await mailroom.healths.of_id(webhook.id) is None

    await eventually(forgotten, what="the end of the failing")


async def test_a_slow_webhook_has_its_places_and_all_of_its_mail_arrives(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=1), path="/slow")
    slow = await mailroom.webhook(f"{receiver.url}/slow")
    quick = await mailroom.webhook(f"{receiver.url}/quick")
    events = await accepted(mailroom, slow, 30)
    await expect_delivered(mailroom, await accepted(mailroom, quick, 10), within=10)
    await expect_delivered(mailroom, events)
    calls = receiver.at("/slow")
    assert sorted(call.webhook_id for call in calls) == sorted(e.delivery_id for e in events)
    assert calls_at_a_time(calls, 1) <= PLACES
    assert calls[-1].at - calls[0].at <= 4 * len(events) / PLACES
    attempts = await mailroom.attempts(slow, len(events))
    assert {attempt.number for attempt in attempts} == {1}


async def test_a_quick_webhook_is_not_slowed_down_by_its_places(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await accepted(mailroom, webhook, 100)
    calls = await receiver.wait_for(100)
    assert calls[-1].at - calls[0].at < 5


async def test_mail_of_a_paused_webhook_waits_in_the_store_and_arrives_when_it_is_resumed(
    mailroom: Mailroom, receiver: Receiver, second: Stack
) -> None:
    assert second.is_running()
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url))
    events = await accepted(mailroom, webhook, 120)
    large = await mailroom.accept(
        webhook, b"Subject: large\r\n\r\n" + b"x" * 5_000_000, stored=True
    )
    held = await mailroom.held(webhook, 121)
    assert {each.id for each in held} == {each.delivery_id for each in (*events, large)}
    assert {(each.state, each.attempts, each.next_attempt_at) for each in held} == {
        (DeliveryState.PENDING, 0, None)
    }
    assert {each.subject for each in held} == {"Hello", "large"}
    assert receiver.requests == []
    await mailroom.resume(webhook)
    await expect_delivered(mailroom, [*events, large])
    assert sorted(call.webhook_id for call in receiver.requests) == sorted(e.id for e in held)
    assert {each["attempts"] for each in await records(mailroom, events)} == {1}
    assert await mailroom.deliveries.held(webhook.id, 1) == []


async def test_a_mail_that_was_tried_goes_on_with_its_next_attempt(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(500)
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await receiver.wait_for(1)
    await mailroom.pause(webhook)
    [held] = await mailroom.held(webhook, 1)
    assert held.attempts == 1
    await mailroom.resume(webhook)
    attempts = await mailroom.attempts(webhook, 2)
    assert [(each.number, each.result) for each in attempts] == [
        (1, Result.TRANSIENT),
        (2, Result.DELIVERED),
    ]
    assert {call.webhook_id for call in receiver.requests} == {event.delivery_id}


async def test_an_attempt_that_is_on_record_is_not_lost_when_its_webhook_is_paused_then(
    mailroom: Mailroom, receiver: Receiver, stack: Stack, second: Stack
) -> None:
    """A crash after the record, and the pause before the event comes back."""
    for each in (stack, second):
        await asyncio.to_thread(each.stop_program, "dispatcher")
    try:
        webhook = await mailroom.webhook(receiver.url)
        event = await mailroom.accept(webhook)
        await mailroom.crash_after_recording(event, result=Result.TRANSIENT)
        await mailroom.pause(webhook)
    finally:
        for each in (stack, second):
            each.start_program("dispatcher")
    [held] = await mailroom.held(webhook, 1, within=40)
    assert (held.id, held.attempts) == (event.delivery_id, 1)
    assert receiver.requests == []
    await mailroom.resume(webhook)
    await expect_delivered(mailroom, [event])


async def test_a_kill_while_mail_is_held_and_released_loses_none(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url))
    sending = asyncio.create_task(accepted(mailroom, webhook, 300))

    async def some_held() -> bool:
        return len(await mailroom.deliveries.held(webhook.id, 50)) == 50

    await eventually(some_held, within=20)
    stack.kill("dispatcher")
    events = await sending
    await mailroom.held(webhook, 300, within=60)
    await mailroom.resume(webhook)
    await receiver.wait_for(20, timeout=30)
    stack.kill("dispatcher")
    await expect_delivered(mailroom, events)
    assert {call.webhook_id for call in receiver.requests} == {e.delivery_id for e in events}


async def test_what_was_held_by_a_state_of_seconds_ago_is_released_by_itself(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url))
    first = await mailroom.accept(webhook)
    [held] = await mailroom.held(webhook, 1)
    await mailroom.resume(webhook)
    await expect_delivered(mailroom, [first])
    late = held._replace(id=held.id[:-4] + "zzzz", held_at=utc_now())
    await mailroom.deliveries.put([late])
    await mailroom.holdings.note(webhook.id, utc_now())

    await expect_none_held(mailroom, webhook)


def releaser_of(mailroom: Mailroom, longest_wait: timedelta) -> tuple[Releaser, Recorder]:
    recorder = Recorder(mailroom.logs, mailroom.deliveries, mailroom.messages)
    collections = mailroom.holdings, mailroom.deliveries, mailroom.webhooks
    return Releaser(*collections, mailroom.publisher, recorder, longest_wait), recorder


async def test_what_is_held_for_too_long_has_failed_on_record_and_can_be_replayed(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url))
    event = await mailroom.accept(webhook)
    await mailroom.held(webhook, 1)
    releaser, recorder = releaser_of(mailroom, timedelta(0))
    recording = asyncio.create_task(recorder.run())

    async def given_up() -> bool:
        await releaser.round(expire=True)
        return await mailroom.deliveries.held(webhook.id, 1) == []

    await eventually(given_up)
    recording.cancel()
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert (delivery["state"], delivery["attempts"]) == (DeliveryState.FAILED, 1)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.PERMANENT
    assert attempt.error == "the webhook was paused for longer than mail is held"
    assert receiver.requests == []
    assert await mailroom.kept(event) == event.raw


async def test_held_mail_of_a_deleted_webhook_goes(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.pause(await mailroom.webhook(receiver.url))
    event = await mailroom.accept(webhook)
    await mailroom.held(webhook, 1)
    await mailroom.webhooks.delete_owned(webhook.account_id, webhook.id)
    await expect_none_held(mailroom, webhook)
    record = await mailroom.delivery(event)
    assert record is not None
    assert record["expires_at"] > utc_now()
    assert receiver.requests == []


async def test_mail_that_has_waited_too_long_for_a_failing_endpoint_has_failed(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    now = utc_now()
    await mailroom.leave_alone(webhook, timedelta(hours=1))
    event = await mailroom.accept(webhook)
    old = "dlv_01arz3ndektsv4rrffq69g5fav"  # made in 2016
    await mailroom.publish(replace(event, delivery_id=old))

    async def failed() -> bool:
        record = await mailroom.delivery_of(old)
        return record is not None and record["state"] == DeliveryState.FAILED

    await eventually(failed)
    waiting = await eventually(lambda: mailroom.delivery(event))
    assert waiting is not None
    assert waiting["state"] == DeliveryState.PENDING
    assert waiting["next_attempt_at"] >= now + timedelta(hours=1)
    assert receiver.requests == []
    await mailroom.webhooks.delete_owned(webhook.account_id, webhook.id)
