"""Asking over a real RabbitMQ: one answer in time, or BrokerUnavailable."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from conduit.bus.connection import Bus, open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcClient, RpcServer
from conduit.bus.topology import DOMAINS_VERIFY
from conduit.errors import BrokerUnavailable
from conduit.events import DomainChecked, DomainCheckRequested, Event
from conduit.settings import BusSettings
from tests.integration.bus.conftest import Queues
from tests.support.infrastructure import Broker
from tests.support.polling import eventually

REQUEST = DomainCheckRequested("dom_1")
ANSWER = DomainChecked("dom_1", None)

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
