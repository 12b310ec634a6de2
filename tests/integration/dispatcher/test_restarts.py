"""RabbitMQ and the store are restarted in order while the dispatcher runs, as for an update."""

import asyncio
from datetime import timedelta

import pytest

from conduit.errors import BrokerUnavailable
from conduit.model.delivery import Result
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_local.receiver import Answer, Receiver
from conduit_local.stack import Stack
from tests.support.mailroom import Mailroom
from tests.support.polling import eventually


async def restart(stack: Stack, program: str) -> None:
    """Stop a program, and start it when it has ended; returns when all programs are ready."""
    await asyncio.to_thread(stack.stop_program, program)
    await asyncio.to_thread(stack.start_program, program)
    await asyncio.to_thread(stack.wait_ready)


async def accept(mailroom: Mailroom, webhook: Webhook) -> bool:
    """Put a mail on the queue; return whether that was possible."""
    try:
        await mailroom.accept(webhook)
    except BrokerUnavailable:
        return False
    return True


@pytest.mark.parametrize("program", ["rabbitmq", "store"])
async def test_mail_flows_again_after_a_restart(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack, program: str
) -> None:
    before = await mailroom.webhook(f"{receiver.url}/before")
    after = await mailroom.webhook(f"{receiver.url}/after")
    pid = dispatcher_stack.pid("dispatcher")
    await mailroom.accept(before)
    await mailroom.attempts(before, 1)
    await restart(dispatcher_stack, program)
    await eventually(lambda: accept(mailroom, after), within=30, what="a mail on the queue")
    await receiver.wait_for(1, path="/after", timeout=30)
    [attempt] = await mailroom.attempts(after, 1, within=30)
    assert attempt.result is Result.DELIVERED
    assert len(receiver.at("/before")) == 1
    assert dispatcher_stack.pid("dispatcher") == pid, "the dispatcher has gone on all the while"


@pytest.mark.parametrize("program", ["rabbitmq", "store"])
async def test_what_is_under_way_during_a_restart_is_not_lost(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack, program: str
) -> None:
    receiver.always_answer(Answer(delay=1), path="/slow")
    webhook = await mailroom.webhook(f"{receiver.url}/slow")
    event = await mailroom.accept(webhook)
    await receiver.wait_for(1, path="/slow")
    await restart(dispatcher_stack, program)
    [attempt] = await mailroom.attempts(webhook, 1, within=30)
    assert (attempt.number, attempt.result) == (1, Result.DELIVERED)
    calls = receiver.at("/slow")
    assert {call.webhook_id for call in calls} == {event.delivery_id}
    assert len(calls) <= 2


async def test_mails_wait_for_a_store_that_is_stopped_for_a_while(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    await asyncio.to_thread(dispatcher_stack.stop_program, "store")
    events = [await mailroom.accept(webhook) for _ in range(10)]
    await asyncio.to_thread(dispatcher_stack.start_program, "store")
    await asyncio.to_thread(dispatcher_stack.wait_ready)
    attempts = await mailroom.attempts(webhook, len(events), within=60)
    assert {attempt.delivery_id for attempt in attempts} == {e.delivery_id for e in events}
    assert all(attempt.result is Result.DELIVERED for attempt in attempts)
    assert len(receiver.requests) == len(events)


@pytest.mark.parametrize("wait", [0, 2.5], ids=["due", "put off meanwhile"])
async def test_what_was_called_before_a_neighbour_was_away_is_not_called_again(
    mailroom: Mailroom, receiver: Receiver, wait: float
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    event = await mailroom.accept(webhook)
    await mailroom.attempts(webhook, 1)
    recorded = await eventually(lambda: mailroom.delivery(event), what="the record")
    again = event.postponed(utc_now() + timedelta(seconds=wait)) if wait else event
    await mailroom.publish(again, begun=True)  # as a consumer does when the store was away since

    async def written_again() -> bool:
        delivery = await mailroom.delivery(event)
        assert delivery is not None
        return bool(delivery["updated_at"] > recorded["updated_at"])

    await eventually(written_again, what="the record once more")
    await mailroom.attempts(webhook, 1)
    assert len(receiver.requests) == 1
