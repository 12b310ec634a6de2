"""The way from the queue to the endpoint, and what is recorded of it."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest

from conduit.events import DomainCheckRequested
from conduit.model.delivery import DeliveryState, Result
from conduit.model.notice import Occasion
from conduit.model.record import utc_now
from conduit_local.receiver import Answer, Receiver
from conduit_local.signatures import conduit_is_valid, standard_is_valid
from conduit_local.stack import Stack
from tests.support.mailroom import MAIL, SECRET, Mailroom
from tests.support.polling import eventually

NEW_SECRET = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
METADATA = "http://169.254.169.254/latest/meta-data"


async def test_a_mail_arrives_as_a_signed_call(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/hook?a=b")
    event = await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert (call.method, call.path) == ("POST", "/hook")
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["User-Agent"].startswith("Conduit/")
    assert call.webhook_id == event.delivery_id
    assert conduit_is_valid(SECRET, call.headers, call.body)
    assert standard_is_valid(SECRET, call.headers, call.body)
    payload = call.json()
    assert payload["id"] == event.delivery_id
    assert payload["subject"] == "Hello"
    assert payload["text"] == "It works.\n"
    assert payload["from"] == "ann@example.com"
    assert payload["to"] == [webhook.address]
    assert payload["envelope"]["remote_ip"] == "192.0.2.1"


async def test_the_attempt_and_the_delivery_are_on_record(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(Answer(201, body="thanks"), path="/")
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.number, attempt.result, attempt.http_status) == (1, Result.DELIVERED, 201)
    assert attempt.smtp_message_id == "<1@example.com>"
    assert attempt.sender == "ann@example.com"
    assert (attempt.error, attempt.response) == (None, "thanks")
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert delivery["state"] == DeliveryState.DELIVERED


async def test_an_endpoint_that_is_down_gets_the_mail_later_under_the_same_id(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await receiver.close()
    event = await mailroom.accept(webhook)
    [first] = await mailroom.attempts(webhook, 1)
    assert (first.result, first.http_status) == (Result.TRANSIENT, None)
    assert "cannot connect" in (first.error or "")
    await receiver.open()
    [call] = await receiver.wait_for(1)
    assert call.webhook_id == event.delivery_id
    _, second = await mailroom.attempts(webhook, 2)
    assert (second.number, second.result) == (2, Result.DELIVERED)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_transient_refusal_is_tried_again(
    mailroom: Mailroom, receiver: Receiver, status: int
) -> None:
    receiver.answer(status)
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.accept(webhook)
    first, second = await receiver.wait_for(2)
    assert first.webhook_id == second.webhook_id
    attempts = await mailroom.attempts(webhook, 2)
    assert [attempt.http_status for attempt in attempts] == [status, 200]


async def test_out_of_tries_a_mail_is_dead_but_kept(mailroom: Mailroom, receiver: Receiver) -> None:
    receiver.always_answer(500)
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    attempts = await mailroom.attempts(webhook, 3)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    dead = await mailroom.dead(event)
    assert dead.raw == event.raw
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert delivery["state"] == DeliveryState.FAILED


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 413, 422])
async def test_a_permanent_refusal_ends_it(
    mailroom: Mailroom, receiver: Receiver, status: int
) -> None:
    receiver.always_answer(Answer(status, headers={"Location": METADATA}))
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.dead(event)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert (attempt.result, attempt.http_status) == (Result.PERMANENT, status)
    if status < 400:
        assert METADATA in (attempt.error or "")


async def test_an_endpoint_that_is_gone_switches_its_webhook_off(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.answer(410)
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.dead(await mailroom.accept(webhook))
    changed = await mailroom.webhooks.of_id(webhook.id)
    assert changed is not None
    assert not changed.active
    [notice] = await mailroom.notices_about(webhook)
    assert notice.occasion is Occasion.GONE


async def test_mails_that_find_it_gone_at_once_have_its_owner_told_once(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(410))
    webhook = await mailroom.webhook(receiver.url)
    for event in [await mailroom.accept(webhook) for _ in range(5)]:
        await mailroom.dead(event)
    assert len(await mailroom.notices_about(webhook)) == 1


async def test_queued_mail_of_an_inactive_webhook_is_kept_and_logged(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url, active=False)
    await mailroom.dead(await mailroom.accept(webhook))
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.error == "the webhook is switched off"
    assert receiver.requests == []


@pytest.mark.parametrize(
    "target", [METADATA, "http://10.0.0.1/", "http://[fe80::1]/", "http://0.0.0.0:80/"]
)
async def test_private_networks_are_never_called(mailroom: Mailroom, target: str) -> None:
    webhook = await mailroom.webhook(target)
    await mailroom.accept(webhook)
    attempts = await mailroom.attempts(webhook, 3)
    assert all("may not be called" in (attempt.error or "") for attempt in attempts)


async def test_a_slow_endpoint_ends_with_its_deadline_and_holds_nobody_up(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=30), path="/slow")
    slow = await mailroom.webhook(f"{receiver.url}/slow")
    quick = await mailroom.webhook(f"{receiver.url}/quick")
    await mailroom.accept(slow)
    await mailroom.accept(quick)
    await receiver.wait_for(1, path="/quick", timeout=1.5)
    [attempt, *_] = await mailroom.attempts(slow, 3, within=20)
    assert attempt.error == "no answer within 2 s"


async def test_only_the_head_of_an_answer_is_kept(mailroom: Mailroom, receiver: Receiver) -> None:
    receiver.answer(Answer(body="x" * 1_000_000))
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.accept(webhook)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.response == "x" * 2048


async def test_custom_headers_are_sent_and_override_none_of_ours(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    headers = {"Authorization": "Bearer abc", "Content-Type": "text/plain", "X-Team": "ü"}
    webhook = await mailroom.webhook(receiver.url, headers=headers)
    await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert call.headers["Authorization"] == "Bearer abc"
    assert call.headers["X-Team"] == "ü"
    assert call.headers["Content-Type"] == "application/json"


async def test_a_mail_too_large_for_the_bus_comes_from_the_store(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    raw = b"Subject: large\r\n\r\n" + b"x" * 70 * 14_000 + b"\r\n" * 5_000_000
    await mailroom.accept(webhook, raw, stored=True)
    [call] = await receiver.wait_for(1)
    assert call.json()["subject"] == "large"


async def test_a_large_mail_that_is_not_kept_any_more_is_said_so(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    event = (await mailroom.accept(webhook)).by_reference()
    await mailroom.attempts(webhook, 1)
    await mailroom.messages.forget([event.message_id])
    await mailroom.publish(event.next_attempt(utc_now()))
    attempts = await mailroom.attempts(webhook, 2)
    assert attempts[-1].error == "the mail is not kept any more"


async def test_mail_of_a_deleted_webhook_is_dropped(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.webhooks.delete_owned(webhook.account_id, webhook.id)
    await mailroom.accept(webhook)
    other = await mailroom.webhook(f"{receiver.url}/other")
    await mailroom.accept(other)
    await receiver.wait_for(1, path="/other")
    assert receiver.at("/") == []


async def test_the_rate_limit_spreads_the_mails(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url, rate_limit=60)
    for _ in range(3):
        await mailroom.accept(webhook)
    calls = await receiver.wait_for(3)
    assert calls[2].at - calls[0].at >= 1.9
    assert len({call.webhook_id for call in calls}) == 3


async def test_a_crash_during_the_call_repeats_it_under_the_same_id(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=1), path="/")
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await receiver.wait_for(1)
    dispatcher_stack.kill("dispatcher")
    [first, second] = await receiver.wait_for(2, timeout=20)
    assert first.webhook_id == second.webhook_id == event.delivery_id
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.DELIVERED
    await asyncio.to_thread(dispatcher_stack.wait_ready)


async def test_an_attempt_on_record_is_not_made_again_when_its_event_comes_back(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    """A crash after the record and before the ack: the event is given out once more."""
    await asyncio.to_thread(dispatcher_stack.stop_program, "dispatcher")
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.crash_after_recording(event, result=Result.TRANSIENT)
    dispatcher_stack.start_program("dispatcher")
    [call] = await receiver.wait_for(1, timeout=20)
    assert call.webhook_id == event.delivery_id
    attempts = await mailroom.attempts(webhook, 2)
    assert [(a.number, a.result) for a in attempts] == [
        (1, Result.TRANSIENT),
        (2, Result.DELIVERED),
    ]
    assert len(receiver.requests) == 1


async def test_an_event_that_does_not_belong_here_is_dead(mailroom: Mailroom) -> None:
    await mailroom.publish(DomainCheckRequested("dom_x"))
    webhook = await mailroom.webhook("http://127.0.0.1:1/")
    event = await mailroom.accept(webhook)
    await mailroom.dead(event)


async def test_an_event_is_not_handled_before_its_time(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    [first] = await receiver.wait_for(1)
    due = utc_now() + timedelta(seconds=2)
    await mailroom.publish(event.next_attempt(due))
    _, second = await receiver.wait_for(2)
    assert second.at >= due.timestamp()
    assert second.at - first.at < 8


async def test_a_template_shapes_the_body(mailroom: Mailroom, receiver: Receiver) -> None:
    template = '{"text": {{toJson .Subject}}, "by": "{{.From}}"}'
    webhook = await mailroom.webhook(receiver.url, payload_template=template)
    event = await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert call.json() == {"text": "Hello", "by": "ann@example.com"}
    assert call.headers["Content-Type"] == "application/json"
    assert call.webhook_id == event.delivery_id
    assert conduit_is_valid(SECRET, call.headers, call.body)
    assert standard_is_valid(SECRET, call.headers, call.body)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ('{"subject": "{{.Subject}}"}', "not JSON"),
        ('{\n"x": {{index .To 5}}}', "line 2: "),
    ],
)
async def test_a_mail_that_the_template_cannot_shape_fails_for_good(
    mailroom: Mailroom, receiver: Receiver, template: str, reason: str
) -> None:
    webhook = await mailroom.webhook(receiver.url, payload_template=template)
    event = await mailroom.accept(webhook, MAIL.replace(b"Hello", b'"Hello"'))
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.PERMANENT
    assert attempt.http_status is None
    assert str(attempt.error).startswith("payload_template: ")
    assert reason in str(attempt.error)
    assert receiver.requests == []
    assert await mailroom.dead(event) == event
    delivery = await mailroom.delivery(event)
    assert delivery is not None
    assert delivery["state"] == DeliveryState.FAILED


async def test_a_rotated_secret_signs_beside_the_new_one_for_a_while(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.rotate(webhook, NEW_SECRET, utc_now() + timedelta(hours=1))
    await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert standard_is_valid(NEW_SECRET, call.headers, call.body)
    assert standard_is_valid(SECRET, call.headers, call.body)
    assert conduit_is_valid(NEW_SECRET, call.headers, call.body)
    assert not conduit_is_valid(SECRET, call.headers, call.body)


async def test_a_rotated_secret_signs_no_more_after_its_time(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.rotate(webhook, NEW_SECRET, utc_now() - timedelta(seconds=1))
    await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert standard_is_valid(NEW_SECRET, call.headers, call.body)
    assert not standard_is_valid(SECRET, call.headers, call.body)


async def test_records_wait_for_a_store_that_is_away(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=1), path="/")
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.accept(webhook)
    await receiver.wait_for(1)
    dispatcher_stack.kill("store")
    await asyncio.to_thread(dispatcher_stack.wait_ready)
    [attempt] = await mailroom.attempts(webhook, 1, within=30)
    assert attempt.result is Result.DELIVERED


async def test_a_stop_finishes_what_is_in_flight(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=1), path="/")
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.accept(webhook)
    await receiver.wait_for(1)
    pid = dispatcher_stack.pid("dispatcher")
    os.kill(pid, signal.SIGTERM)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.DELIVERED
    await eventually(lambda: not _runs(pid), what="the end of the dispatcher")
    await asyncio.to_thread(dispatcher_stack.wait_ready)
    assert len(receiver.requests) == 1


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
