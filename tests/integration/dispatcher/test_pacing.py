"""Rate limits over two dispatchers, and mail that waits for its slot."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.log_lines import log_lines
from tests.support.mailroom import Mailroom
from tests.support.polling import eventually
from tests.support.stacks import dispatcher_beside

RATE = 600
INTERVAL = 60 / RATE
MAILS = 60


@pytest.fixture(scope="module")
def beside(dispatcher_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One more dispatcher."""
    with dispatcher_beside(dispatcher_stack, tmp_path_factory.mktemp("beside")) as stack:
        yield stack


def calls_of(stack: Stack, webhook: Webhook) -> int:
    """Return how many calls of a webhook a stack's dispatcher has made."""
    return sum(
        line.get("event") == "delivery.attempted" and line["webhook_id"] == webhook.id
        for line in log_lines(stack.log("dispatcher"))
    )


async def test_two_dispatchers_keep_to_one_rate_and_spread_the_calls(
    mailroom: Mailroom, receiver: Receiver, dispatcher_stack: Stack, beside: Stack
) -> None:
    webhook = await mailroom.webhook(receiver.url, rate_limit=RATE)
    for _ in range(MAILS):
        await mailroom.accept(webhook)
    calls = await receiver.wait_for(MAILS, timeout=60)
    await mailroom.attempts(webhook, MAILS)
    assert len({call.webhook_id for call in calls}) == len(calls) == MAILS
    assert calls[-1].at - calls[0].at >= 0.9 * (MAILS - 1) * INTERVAL
    # Whole-second hops alone would have them come ten at a time, with next to nothing between.
    gaps = [later.at - earlier.at for earlier, later in pairwise(calls)]
    assert 0.5 * INTERVAL < statistics.median(gaps) < 1.5 * INTERVAL
    assert calls_of(dispatcher_stack, webhook)
    assert calls_of(beside, webhook)


async def test_a_mail_goes_ahead_at_its_slot_while_others_wait_for_theirs(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    waiting = await mailroom.webhook(f"{receiver.url}/waiting", rate_limit=1)
    for _ in range(300):  # more than are under way at a time
        await mailroom.accept(waiting)
    others = await mailroom.webhook(f"{receiver.url}/others")
    await mailroom.accept(others)
    await receiver.wait_for(1, path="/others", timeout=30)
    assert len(receiver.at("/waiting")) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["", "after an outage of the store"])
async def test_mails_that_have_missed_their_slots_are_not_called_all_at_once(
    mailroom: Mailroom, receiver: Receiver, begun: bool
) -> None:
    webhook = await mailroom.webhook(receiver.url, rate_limit=RATE)
    event = await mailroom.accept(webhook)
    await receiver.wait_for(1)
    missed = event.postponed(utc_now() - timedelta(minutes=5), paced=True)
    for _ in range(20):
        late = replace(missed, delivery_id=new_id(Prefix.DELIVERY))
        await mailroom.publish(late, begun=begun)
    calls = await receiver.wait_for(21, timeout=60)
    assert calls[-1].at - calls[1].at >= 0.9 * 19 * INTERVAL


async def test_a_slot_is_missed_once_and_not_by_what_is_given_out_in_time(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url, rate_limit=1)
    first = await mailroom.accept(webhook)
    await receiver.wait_for(1)
    long_ago, soon = utc_now() - timedelta(minutes=5), utc_now() + timedelta(seconds=3)
    missed = replace(first, delivery_id=new_id(Prefix.DELIVERY)).postponed(long_ago, paced=True)
    again = replace(missed, delivery_id=new_id(Prefix.DELIVERY)).postponed(long_ago, paced=True)
    in_time = replace(first, delivery_id=new_id(Prefix.DELIVERY)).postponed(soon, paced=True)
    for event in (missed, again, in_time):
        await mailroom.publish(event)
    calls = await receiver.wait_for(3)
    assert {call.webhook_id for call in calls[1:]} == {again.delivery_id, in_time.delivery_id}
    waiting = await eventually(lambda: mailroom.delivery(missed), what="the record")
    assert waiting["next_attempt_at"] > utc_now() + timedelta(seconds=30)
    assert len(receiver.requests) == 3
