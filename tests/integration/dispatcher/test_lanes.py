"""Two lanes: a burst goes by the one for mail in no hurry, and no other mail waits for it."""

import asyncio
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from aio_pika import connect
from aio_pika.abc import AbstractIncomingMessage

from conduit.bus.packets import from_message
from conduit.bus.topology import DELAYS, DELIVERIES, DELIVERIES_BULK, EXCHANGE, LANES, delay_queue
from conduit.events import MailAccepted, decode
from conduit.model.delivery import DeliveryFilter, DeliveryState, Result
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit_local.programs import INFRASTRUCTURE
from conduit_local.receiver import Answer, Receiver
from conduit_local.stack import Stack
from conduit_smtp_ingest.settings import IngestSettings
from tests.support.mailroom import Mailroom, open_mailroom, usual_shares
from tests.support.polling import eventually

PLACES = 8
PREFETCH = 100
BURST = 1_000
AT_ONCE = IngestSettings.model_fields["smtp_share_at_once"].default

SETTINGS = {
    "CONDUIT_RETRY_DELAYS": ",".join(["1"] * 20),
    "CONDUIT_RETRY_JITTER": "0",
    "CONDUIT_WEBHOOK_TIMEOUT": "5",
    "CONDUIT_DISPATCHER_WEBHOOK_CACHE": "0.05",
    "CONDUIT_DISPATCHER_PREFETCH": str(PREFETCH),
    "CONDUIT_DISPATCHER_BULK_PREFETCH": str(PREFETCH),
    "CONDUIT_DISPATCHER_LIMIT_PER_WEBHOOK": str(PLACES),
    "CONDUIT_BREAKER_FAILURES": "3",
    "CONDUIT_BREAKER_PAUSE": "1",
    "CONDUIT_BREAKER_LONGEST_PAUSE": "2",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A dispatcher that is soon done with waiting."""
    directory = tmp_path_factory.mktemp("lanes")
    with Stack.isolated(directory, [*INFRASTRUCTURE, "dispatcher"], SETTINGS) as stack:
        yield stack


@pytest.fixture
async def mailroom(stack: Stack) -> AsyncIterator[Mailroom]:
    """Puts webhooks into the store and mails onto the queues, and reads the records."""
    async with open_mailroom(stack) as mailroom:
        yield mailroom


@asynccontextmanager
async def stopped(stack: Stack) -> AsyncIterator[None]:
    """Have no dispatcher during the block."""
    await asyncio.to_thread(stack.stop_program, "dispatcher")
    try:
        yield
    finally:
        await asyncio.to_thread(stack.start_program, "dispatcher")
        await asyncio.to_thread(stack.wait_ready)


async def burst(mailroom: Mailroom, webhook: Webhook, mails: int) -> dict[str, MailAccepted]:
    """Have mails come at once, each in the lane that the ingest puts it in; return them by id."""
    shares = usual_shares()
    lanes = [shares.lane(webhook.id) for _ in range(mails)]
    return await queued(mailroom, webhook, {lane: lanes.count(lane) for lane in LANES})


async def queued(
    mailroom: Mailroom, webhook: Webhook, mails: Mapping[str, int]
) -> dict[str, MailAccepted]:
    """Put so many mails on each lane."""
    accepting = [
        mailroom.accept(webhook, lane=lane) for lane, count in mails.items() for _ in range(count)
    ]
    return {event.delivery_id: event for event in await asyncio.gather(*accepting)}


async def expect_called(
    receiver: Receiver, events: Mapping[str, MailAccepted], path: str, within: float = 90
) -> None:
    def missing() -> set[str]:
        return events.keys() - {call.webhook_id for call in receiver.at(path)}

    await eventually(lambda: not missing(), within=within, what="the calls of all mails")


class PutOff:
    """Which delay queues each webhook's mails were put on: the exchange copies them for us."""

    def __init__(self) -> None:
        self._keys: defaultdict[str, list[str]] = defaultdict(list)

    async def note(self, message: AbstractIncomingMessage) -> None:
        event = decode(from_message(message))
        assert isinstance(event, MailAccepted)
        self._keys[event.webhook_id].append(str(message.routing_key))

    def lanes(self, webhook: Webhook) -> list[str]:
        """Return the lanes to which mails of a webhook are to come back."""
        return [key.partition(".delay.")[0] for key in self._keys[webhook.id]]


@pytest.fixture
async def put_off(stack: Stack) -> AsyncIterator[PutOff]:
    """What is put off during this test."""
    async with await connect(stack.urls.amqp) as connection:
        channel = await connection.channel()
        copies = await channel.declare_queue(exclusive=True)
        for lane in LANES:
            for seconds in DELAYS:
                await copies.bind(EXCHANGE, routing_key=delay_queue(seconds, lane))
        put_off = PutOff()
        await copies.consume(put_off.note, no_ack=True)
        yield put_off


async def test_the_burst_of_one_webhook_does_not_stand_before_anothers_mail(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    flooded = await mailroom.webhook(f"{receiver.url}/flooded")
    other = await mailroom.webhook(f"{receiver.url}/other")
    async with stopped(stack):
        events = await burst(mailroom, flooded, BURST)
        await mailroom.accept(other)
    await expect_called(receiver, events, "/flooded")
    await receiver.wait_for(1, path="/other", timeout=30)
    paths = [call.path for call in receiver.requests]
    # Its share stood before it, and what of the rest was called in the meantime.
    assert paths.index("/other") < AT_ONCE + 2 * PREFETCH
    assert len(paths) == BURST + 1


async def test_mail_of_a_dead_endpoint_does_not_stand_before_anothers_either(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=5), path="/dead")
    dead = await mailroom.webhook(f"{receiver.url}/dead")
    other = await mailroom.webhook(f"{receiver.url}/other")
    async with stopped(stack):
        await burst(mailroom, dead, BURST)
        await mailroom.accept(other)
    await receiver.wait_for(1, path="/other", timeout=30)
    assert len(receiver.at("/dead")) <= PLACES
    await mailroom.webhooks.delete_owned(dead.account_id, dead.id)


async def test_the_bulk_lane_alone_has_all_places_and_puts_nothing_off(
    mailroom: Mailroom, receiver: Receiver, put_off: PutOff
) -> None:
    receiver.always_answer(Answer(delay=0.05), path="/quick")
    webhook = await mailroom.webhook(f"{receiver.url}/quick")
    mails = 60  # that find room in memory until it is their turn
    events = await queued(mailroom, webhook, {DELIVERIES_BULK: mails})
    await expect_called(receiver, events, "/quick")
    calls = receiver.at("/quick")
    assert len(calls) == mails
    # So many that one after the other they would take longer than all of them did.
    assert calls[-1].at - calls[0].at < mails * 0.05 / 2
    assert put_off.lanes(webhook) == []


async def test_mail_that_is_parked_comes_back_by_the_bulk_lane(
    mailroom: Mailroom, receiver: Receiver, put_off: PutOff
) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/failing")
    await mailroom.leave_alone(webhook, timedelta(seconds=2))
    events = await queued(mailroom, webhook, {DELIVERIES: 10, DELIVERIES_BULK: 10})
    await expect_called(receiver, events, "/failing")
    lanes = put_off.lanes(webhook)
    assert len(lanes) >= 20
    assert set(lanes) == {DELIVERIES_BULK}


async def test_a_retry_comes_back_by_the_lane_of_its_mail(
    mailroom: Mailroom, receiver: Receiver, put_off: PutOff
) -> None:
    receiver.answer(500, path="/hurry")
    receiver.answer(500, path="/bulk")
    webhooks = {
        DELIVERIES: await mailroom.webhook(f"{receiver.url}/hurry"),
        DELIVERIES_BULK: await mailroom.webhook(f"{receiver.url}/bulk"),
    }
    for lane, webhook in webhooks.items():
        await mailroom.accept(webhook, lane=lane)
        attempts = await mailroom.attempts(webhook, 2, within=30)
        assert [attempt.result for attempt in attempts] == [Result.TRANSIENT, Result.DELIVERED]
        assert set(put_off.lanes(webhook)) == {lane}


async def test_mail_beyond_its_share_keeps_to_its_rate(
    mailroom: Mailroom, receiver: Receiver, put_off: PutOff
) -> None:
    rate, mails = 600, 40
    webhook = await mailroom.webhook(f"{receiver.url}/paced", rate_limit=rate)
    events = await queued(mailroom, webhook, {DELIVERIES_BULK: mails})
    await expect_called(receiver, events, "/paced")
    calls = receiver.at("/paced")
    assert len(calls) == mails
    assert calls[-1].at - calls[0].at >= 0.9 * (mails - 1) * 60 / rate
    gaps = [later.at - earlier.at for earlier, later in pairwise(calls)]
    assert 0.5 * 60 / rate < statistics.median(gaps) < 1.5 * 60 / rate
    assert set(put_off.lanes(webhook)) == {DELIVERIES}


async def test_mail_whose_slot_is_far_away_waits_on_the_bulk_lane(
    mailroom: Mailroom, receiver: Receiver, put_off: PutOff
) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/slow-paced", rate_limit=1)
    mails = 6
    await queued(mailroom, webhook, {DELIVERIES_BULK: mails})
    lanes = await eventually(
        lambda: found if len(found := put_off.lanes(webhook)) >= mails - 1 else [],
        what="all mails put off",
    )
    # Slots after one and two minutes, and after three to five.
    assert sorted(lanes) == [DELIVERIES] * 2 + [DELIVERIES_BULK] * 3
    assert len(receiver.at("/slow-paced")) == 1
    await mailroom.webhooks.delete_owned(webhook.account_id, webhook.id)


async def test_a_kill_in_the_middle_of_both_lanes_loses_nothing(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=0.02), path="/killed")
    webhook = await mailroom.webhook(f"{receiver.url}/killed")
    events = await queued(mailroom, webhook, {DELIVERIES: 200, DELIVERIES_BULK: 400})
    await receiver.wait_for(50, path="/killed", timeout=30)
    stack.kill("dispatcher")
    await receiver.wait_for(300, path="/killed", timeout=60)
    stack.kill("dispatcher")
    await expect_called(receiver, events, "/killed")
    assert {call.webhook_id for call in receiver.at("/killed")} == events.keys()
    # What was under way in both lanes may be called twice for each kill.
    assert len(receiver.at("/killed")) <= len(events) + 2 * 2 * PREFETCH

    async def recorded() -> bool:
        delivered = DeliveryFilter(state=DeliveryState.DELIVERED)
        return await mailroom.deliveries.count(webhook.id, delivered) == len(events)

    await eventually(recorded, within=60, what="all records")


async def test_a_stop_finishes_what_is_under_way_in_both_lanes(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    receiver.always_answer(Answer(delay=2), path="/stopped/1")
    receiver.always_answer(Answer(delay=2), path="/stopped/2")
    hurried = await mailroom.webhook(f"{receiver.url}/stopped/1")
    bulk = await mailroom.webhook(f"{receiver.url}/stopped/2")
    await queued(mailroom, hurried, {DELIVERIES: PLACES})
    await queued(mailroom, bulk, {DELIVERIES_BULK: PLACES})
    await receiver.wait_for(2 * PLACES, timeout=30)
    asked = utc_now()
    async with stopped(stack):
        for webhook in (hurried, bulk):
            attempts = await mailroom.attempts(webhook, PLACES)
            assert {attempt.result for attempt in attempts} == {Result.DELIVERED}
            assert all(attempt.attempted_at >= asked for attempt in attempts)
    assert len(receiver.requests) == 2 * PLACES


async def test_what_has_not_begun_at_a_stop_is_for_the_next_dispatcher(
    mailroom: Mailroom, receiver: Receiver, stack: Stack
) -> None:
    """In a burst that is stopped in the middle nothing is lost, and nothing called twice."""
    webhook = await mailroom.webhook(f"{receiver.url}/begun")
    events = await queued(mailroom, webhook, {DELIVERIES_BULK: 500})
    await receiver.wait_for(20, path="/begun", timeout=30)
    async with stopped(stack):
        called = [call.webhook_id for call in receiver.at("/begun")]
        assert len(called) == len(set(called))
    await expect_called(receiver, events, "/begun")
    calls = [call.webhook_id for call in receiver.at("/begun")]
    assert sorted(calls) == sorted(events)
