"""Asking over a real RabbitMQ: one answer in time, or BrokerUnavailable."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from conduit.bus.connection import Bus, open_bus
from conduit.bus.consumer import Dead, Done, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcClient, RpcServer
from conduit.bus.topology import DELIVERIES, DOMAINS_VERIFY
from conduit.errors import BrokerUnavailable, NoAnswer
from conduit.events import (
    DeliveryAsked,
    DomainChecked,
    DomainCheckRequested,
    Event,
    MailAccepted,
    decode,
    encode,
)
from conduit.model.envelope import Envelope
from conduit.settings import BusSettings
from tests.integration.bus.conftest import Consume, Queues
from tests.support.infrastructure import Broker
from tests.support.polling import eventually

REQUEST = DomainCheckRequested("dom_1")
ANSWER = DomainChecked("dom_1", None)
MAIL = MailAccepted(
    delivery_id="dlv_1",
    message_id="msg_1",
    webhook_id="wh_1",
    envelope=Envelope("a@example.com", ("b@example.com",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
    size=3,
    raw=b"\xff\r\n",
)

Serve = Callable[[Callable[[Event], Awaitable[Event]]], Awaitable[RpcServer]]


@pytest.fixture
async def client(bus_settings: BusSettings) -> AsyncIterator[RpcClient]:
    """A client with a connection of its own, as it has in another service."""
    async with open_bus(bus_settings) as bus:
        client = RpcClient(bus)
        await client.open()
        yield client


@pytest.fixture
async def serve(bus: Bus, publisher: Publisher) -> AsyncIterator[Serve]:
    """Start servers, stopped at the end."""
    servers: list[RpcServer] = []

    async def start(answer: Callable[[Event], Awaitable[Event]]) -> RpcServer:
        server = RpcServer(bus, publisher, DOMAINS_VERIFY, answer, prefetch=10)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


async def echo(request: Event) -> Event:
    assert isinstance(request, DomainCheckRequested)
    return DomainChecked(request.domain_id, None)


async def test_a_request_gets_its_answer(client: RpcClient, serve: Serve) -> None:
    await serve(echo)
    assert await client.call(DOMAINS_VERIFY, REQUEST, deadline=5) == ANSWER


async def test_a_request_is_handled_once(client: RpcClient, serve: Serve, queues: Queues) -> None:
    requests: list[Event] = []

    async def count(request: Event) -> Event:
        requests.append(request)
        return await echo(request)

    server = await serve(count)
    await client.call(DOMAINS_VERIFY, REQUEST, deadline=5)
    await server.stop()
    assert requests == [REQUEST]
    assert await queues.count(DOMAINS_VERIFY) == 0


async def test_each_of_many_requests_gets_its_own_answer(client: RpcClient, serve: Serve) -> None:
    await serve(echo)
    names = [f"dom_{number}" for number in range(50)]
    answers = await asyncio.gather(
        *(client.call(DOMAINS_VERIFY, DomainCheckRequested(name), deadline=5) for name in names)
    )
    assert answers == [DomainChecked(name, None) for name in names]


async def test_without_an_answer_the_deadline_ends_the_call(
    client: RpcClient, serve: Serve
) -> None:
    async def slow(_request: Event) -> Event:
        await asyncio.wait_for(asyncio.Event().wait(), 0.6)
        raise AssertionError

    await serve(slow)
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.3)
    assert time.monotonic() - started < 5


async def test_a_failing_server_leaves_the_caller_to_its_deadline_and_goes_on(
    client: RpcClient, serve: Serve
) -> None:
    async def fails_once(request: Event) -> Event:
        if not failures:
            failures.append(request)
            raise ZeroDivisionError
        return await echo(request)

    failures: list[Event] = []
    await serve(fails_once)
    with pytest.raises(BrokerUnavailable):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.3)
    assert await client.call(DOMAINS_VERIFY, REQUEST, deadline=5) == ANSWER


async def test_a_request_that_nobody_takes_expires_with_its_deadline(
    client: RpcClient, queues: Queues
) -> None:
    with pytest.raises(BrokerUnavailable):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.2)

    async def empty() -> bool:
        return await queues.count(DOMAINS_VERIFY) == 0

    await eventually(empty, what="the request's expiry")


async def test_a_late_answer_disturbs_nobody(client: RpcClient, serve: Serve) -> None:
    release = asyncio.Event()

    async def late(request: Event) -> Event:
        await release.wait()
        return await echo(request)

    await serve(late)
    with pytest.raises(BrokerUnavailable):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.2)
    release.set()
    assert await client.call(DOMAINS_VERIFY, REQUEST, deadline=5) == ANSWER


async def test_an_answer_to_a_client_that_is_gone_disturbs_nobody(
    bus_settings: BusSettings, client: RpcClient, serve: Serve
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def late(request: Event) -> Event:
        asked.set()
        await release.wait()
        return await echo(request)

    await serve(late)
    async with open_bus(bus_settings) as bus:
        leaving = RpcClient(bus)
        await leaving.open()
        call = asyncio.create_task(leaving.call(DOMAINS_VERIFY, REQUEST, deadline=0.5))
        await asyncio.wait_for(asked.wait(), 5)
    with pytest.raises(BrokerUnavailable):
        await call
    release.set()
    assert await client.call(DOMAINS_VERIFY, REQUEST, deadline=5) == ANSWER


async def test_stop_answers_what_is_in_flight(client: RpcClient, serve: Serve) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def late(request: Event) -> Event:
        asked.set()
        await release.wait()
        return await echo(request)

    server = await serve(late)
    call = asyncio.create_task(client.call(DOMAINS_VERIFY, REQUEST, deadline=5))
    await asyncio.wait_for(asked.wait(), 5)
    stopping = asyncio.create_task(server.stop())
    release.set()
    await stopping
    assert await call == ANSWER


async def test_calls_go_on_after_the_broker_was_killed(
    client: RpcClient, serve: Serve, broker: Broker
) -> None:
    await serve(echo)
    assert await client.call(DOMAINS_VERIFY, REQUEST, deadline=5) == ANSWER
    broker.kill()

    async def answered() -> bool:
        try:
            return await client.call(DOMAINS_VERIFY, REQUEST, deadline=1) == ANSWER
        except BrokerUnavailable:
            return False

    async def unanswered() -> bool:
        return not await answered()

    await eventually(unanswered, what="a call without an answer")
    await eventually(answered, within=20, what="an answer")


async def test_a_frozen_broker_is_told_by_the_deadline(
    client: RpcClient, serve: Serve, broker: Broker
) -> None:
    await serve(echo)
    broker.freeze()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.5)
    assert time.monotonic() - started < 5


async def test_a_lost_connection_ends_a_call_at_once(
    client: RpcClient, serve: Serve, broker: Broker
) -> None:
    asked = asyncio.Event()

    async def never(_request: Event) -> Event:
        asked.set()
        await asyncio.wait_for(asyncio.Event().wait(), 0.1)
        raise AssertionError

    await serve(never)
    call = asyncio.create_task(client.call(DOMAINS_VERIFY, REQUEST, deadline=600))
    await asyncio.wait_for(asked.wait(), 10)
    broker.kill()
    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailable) as failure:
            await call
    assert not isinstance(failure.value, NoAnswer)
    broker.wait_ready()


async def test_what_is_durable_stays_so_although_nobody_can_tell_what_comes_of_it(
    client: RpcClient, queues: Queues, broker: Broker
) -> None:
    publishing = asyncio.create_task(client.publish(DELIVERIES, MAIL, wait=600))
    await eventually(lambda: queues.count(DELIVERIES), what="the mail")
    broker.kill()
    async with asyncio.timeout(30):
        assert await publishing is None
    broker.wait_ready()
    assert (await queues.take(DELIVERIES)).body == MAIL.raw


async def test_a_request_carries_a_mail(client: RpcClient, serve: Serve) -> None:
    asked: list[Event] = []

    async def keep(request: Event) -> Event:
        asked.append(request)
        return ANSWER

    await serve(keep)
    await client.call(DOMAINS_VERIFY, DeliveryAsked(MAIL, 1.5), deadline=10)
    assert asked == [DeliveryAsked(MAIL, 1.5)]


async def test_a_request_expires_when_it_is_not_taken_in_time_although_its_asker_waits(
    client: RpcClient, queues: Queues
) -> None:
    call = asyncio.create_task(client.call(DOMAINS_VERIFY, REQUEST, deadline=60, taken_within=1))
    await eventually(lambda: queues.count(DOMAINS_VERIFY), what="the request")

    async def expired() -> bool:
        return await queues.count(DOMAINS_VERIFY) == 0

    await eventually(expired, what="the request's expiry")
    assert not call.done()
    call.cancel()


async def test_what_is_taken_in_time_may_be_answered_until_the_deadline(
    client: RpcClient, serve: Serve
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def late(request: Event) -> Event:
        asked.set()
        await release.wait()
        return await echo(request)

    await serve(late)
    call = asyncio.create_task(client.call(DOMAINS_VERIFY, REQUEST, deadline=30, taken_within=5))
    await asyncio.wait_for(asked.wait(), 10)
    release.set()
    assert await call == ANSWER


async def test_a_question_that_cannot_be_confirmed_is_told_apart_from_one_without_an_answer(
    client: RpcClient, broker: Broker
) -> None:
    with pytest.raises(NoAnswer):
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=0.2)
    broker.freeze()
    with pytest.raises(BrokerUnavailable) as failure:
        await client.call(DOMAINS_VERIFY, REQUEST, deadline=60)
    assert not isinstance(failure.value, NoAnswer)


@pytest.mark.parametrize("dead", [False, True])
async def test_who_publishes_may_hear_what_comes_of_it(
    client: RpcClient, consume: Consume, queues: Queues, dead: bool
) -> None:
    async def tell(incoming: Incoming) -> Outcome:
        assert incoming.waited_for
        assert decode(incoming.packet) == MAIL
        told = encode(ANSWER)
        return Dead(incoming.packet, told) if dead else Done(told)

    consumer = await consume(tell)
    assert await client.publish(DELIVERIES, MAIL, wait=10) == ANSWER
    await consumer.stop()
    assert await queues.count(DELIVERIES) == 0


async def test_who_does_not_wait_is_not_told(
    publisher: Publisher, consume: Consume, queues: Queues
) -> None:
    handled = asyncio.Event()

    async def tell(incoming: Incoming) -> Outcome:
        assert not incoming.waited_for
        handled.set()
        return Done()

    consumer = await consume(tell)
    await publisher.publish(encode(MAIL), DELIVERIES)
    await asyncio.wait_for(handled.wait(), 10)
    await consumer.stop()
    assert await queues.count(DELIVERIES) == 0


async def test_what_is_published_outlives_who_waits(
    client: RpcClient, consume: Consume, queues: Queues
) -> None:
    assert await client.publish(DELIVERIES, MAIL, wait=0.1) is None
    assert await queues.count(DELIVERIES) == 1
    handled: list[Event] = []

    async def tell(incoming: Incoming) -> Outcome:
        handled.append(decode(incoming.packet))
        return Done(encode(ANSWER))

    consumer = await consume(tell)
    await eventually(lambda: handled, what="the mail")
    await consumer.stop()
    assert handled == [MAIL]
    assert await queues.count(DELIVERIES) == 0


async def test_publishing_is_in_doubt_with_a_frozen_broker(
    client: RpcClient, broker: Broker
) -> None:
    broker.freeze()
    with pytest.raises(BrokerUnavailable):
        await client.publish(DELIVERIES, MAIL, wait=60)
