"""A dispatcher with an egress proxy: each kind of call goes through it, and no secret is told."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conduit.bus.connection import open_bus
from conduit.bus.rpc import RpcClient
from conduit.bus.topology import DELIVERIES, WEBHOOKS_SIMULATE
from conduit.events import SimulationDone, SimulationRequested
from conduit.model.delivery import Result
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.settings import BusSettings
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from conduit_smtp_ingest.synchronous import SyncDelivery
from tests.integration.dispatcher.conftest import other_dispatcher
from tests.integration.dispatcher.test_synchronous import mail_to
from tests.support.egress_proxy import EgressProxy
from tests.support.mailroom import Mailroom
from tests.support.raw_server import header

PASSWORD = "s3cr3t-of-the-proxy"


@pytest.fixture
async def proxy() -> AsyncIterator[EgressProxy]:
    """A proxy that wants a password; not one of the networks that are opened for endpoints."""
    async with EgressProxy(host="127.0.0.2") as proxy:
        yield proxy


@pytest.fixture
async def dispatcher(
    dispatcher_stack: Stack, receiver: Receiver, proxy: EgressProxy, tmp_path: Path
) -> AsyncIterator[Stack]:
    """A dispatcher that has to use it."""
    settings = {
        "CONDUIT_EGRESS_PROXY": f"http://conduit:{PASSWORD}@127.0.0.2:{proxy.port}",
        "CONDUIT_EGRESS_ALLOWED_NETWORKS": f"{receiver.host}/32",
        "CONDUIT_LOG_LEVEL": "debug",
    }
    with ExitStack() as stack:
        other = other_dispatcher(dispatcher_stack, tmp_path, settings)
        yield await asyncio.to_thread(stack.enter_context, other)
        await asyncio.to_thread(stack.close)


async def call(mode: str, mailroom: Mailroom, webhook: Webhook, rpc: RpcClient) -> None:
    """Have a webhook called in one of the three ways."""
    if mode == "queued":
        await mailroom.accept(webhook)
    elif mode == "sync":
        delivery = SyncDelivery(rpc, lambda _: DELIVERIES, sync_timeout=20, queued_timeout=20)
        await delivery.deliver(mail_to(webhook), DeliveryMode.SYNC)
    else:
        request = SimulationRequested(webhook.id, "ann@example.com", "Hello", "a", 10)
        done = await rpc.call(WEBHOOKS_SIMULATE, request, deadline=15)
        assert isinstance(done, SimulationDone)


async def test_all_calls_go_through_the_proxy(
    mailroom: Mailroom, receiver: Receiver, proxy: EgressProxy, dispatcher: Stack
) -> None:
    async with open_bus(BusSettings(amqp_url=dispatcher.urls.amqp)) as bus:
        rpc = RpcClient(bus)
        await rpc.open()
        for count, mode in enumerate(("queued", "sync", "simulated"), 1):
            webhook = await mailroom.webhook(f"{receiver.url}/{mode}")
            await call(mode, mailroom, webhook, rpc)
            [attempt] = await mailroom.attempts(webhook, 1)
            assert (attempt.result, attempt.error) == (Result.DELIVERED, None)
            assert len(receiver.at(f"/{mode}")) == 1
            await receiver.close()  # and so the kept connection
            await receiver.open()
            assert len(proxy.requests) == count
    assert set(proxy.authorities) == {f"{receiver.host}:{receiver.port}"}
    assert all(header(head, "Proxy-Authorization") for head in proxy.requests)
    assert not any("proxy" in name.lower() for sent in receiver.requests for name in sent.headers)

    webhook = await mailroom.webhook("http://10.0.0.1/")
    await mailroom.accept(webhook)
    [attempt, *_] = await mailroom.attempts(webhook, 3)
    assert attempt.error == "10.0.0.1 is on a network that may not be called"
    assert len(proxy.requests) == 3

    port = proxy.port
    await proxy.__aexit__()
    webhook = await mailroom.webhook(receiver.url)
    await mailroom.accept(webhook)
    attempts = await mailroom.attempts(webhook, 3)
    assert {attempt.error for attempt in attempts} == {"the egress proxy cannot be reached"}
    assert {attempt.result for attempt in attempts} == {Result.TRANSIENT}
    assert receiver.at("/") == []

    log = dispatcher.log("dispatcher").read_text()
    assert f"http://conduit:**********@127.0.0.2:{port}" in log
    assert PASSWORD not in log
    assert b64encode(f"conduit:{PASSWORD}".encode()).decode() not in log
