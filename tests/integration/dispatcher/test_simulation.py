"""Simulated mail: one call, logged as simulated, that changes nothing."""

from collections.abc import AsyncIterator

import pytest

from conduit.bus.connection import open_bus
from conduit.bus.rpc import RpcClient
from conduit.bus.topology import WEBHOOKS_SIMULATE
from conduit.events import SimulationDone, SimulationRequested
from conduit.model.delivery import Result
from conduit.model.ids import Prefix, new_id
from conduit.settings import BusSettings
from conduit_local.receiver import Answer, Receiver
from conduit_local.signatures import conduit_is_valid, standard_is_valid
from conduit_local.stack import Stack
from tests.support.mailroom import SECRET, Mailroom


class Owner:
    """Somebody who tries a webhook."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    async def simulate(
        self, webhook_id: str, *, subject: str = "Hello", text: str = "a", timeout: float = 10
    ) -> SimulationDone:
        """Have it called."""
        request = SimulationRequested(webhook_id, "ann@example.com", subject, text, timeout)
        answer = await self._rpc.call(WEBHOOKS_SIMULATE, request, deadline=15)
        assert isinstance(answer, SimulationDone)
        return answer


@pytest.fixture
async def owner(dispatcher_stack: Stack) -> AsyncIterator[Owner]:
    """Asks over the dispatcher's bus."""
    async with open_bus(BusSettings(amqp_url=dispatcher_stack.urls.amqp)) as bus:
        rpc = RpcClient(bus)
        await rpc.open()
        yield Owner(rpc)


async def test_an_endpoint_gets_the_call_that_a_mail_would_cause(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/hook", headers={"X-Env": "test"})
    done = await owner.simulate(webhook.id, subject="Grüße", text="one\ntwo\r\nÄpfel")
    assert (done.webhook_id, done.http_status, done.error) == (webhook.id, 200, None)
    [call] = receiver.at("/hook")
    assert call.headers["X-Env"] == "test"
    assert conduit_is_valid(SECRET, call.headers, call.body)
    assert standard_is_valid(SECRET, call.headers, call.body)
    payload = call.json()
    assert payload["id"] == call.webhook_id
    assert payload["from"] == "ann@example.com"
    assert payload["to"] == [webhook.address]
    assert payload["subject"] == "Grüße"
    assert payload["text"] == "one\ntwo\nÄpfel\n"


async def test_it_is_logged_as_simulated_and_makes_no_delivery(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    webhook = await mailroom.webhook(receiver.url)
    done = await owner.simulate(webhook.id)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.simulated
    assert attempt.result is Result.DELIVERED
    assert (attempt.http_status, attempt.duration_ms) == (200, done.duration_ms)
    assert attempt.sender == "ann@example.com"
    assert await mailroom.delivery_of(attempt.delivery_id) is None
    real = await mailroom.accept(webhook)
    attempts = await mailroom.attempts(webhook, 2)
    assert {entry.delivery_id: entry.simulated for entry in attempts} == {
        attempt.delivery_id: True,
        real.delivery_id: False,
    }


@pytest.mark.parametrize("status", [410, 500])
async def test_a_refusal_is_told_and_has_no_consequence(
    mailroom: Mailroom, receiver: Receiver, owner: Owner, status: int
) -> None:
    receiver.always_answer(status)
    webhook = await mailroom.webhook(receiver.url)
    done = await owner.simulate(webhook.id)
    assert done.http_status == status
    assert str(status) in str(done.error)
    kept = await mailroom.webhooks.of_id(webhook.id)
    assert kept == webhook
    await mailroom.accept(await mailroom.webhook(f"{receiver.url}/next"))
    await receiver.wait_for(1, path="/next")
    assert len(receiver.at("/")) == 1


async def test_an_inactive_webhook_can_be_tried(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    webhook = await mailroom.webhook(receiver.url, active=False)
    assert (await owner.simulate(webhook.id)).http_status == 200


async def test_an_endpoint_that_is_not_there_is_told(mailroom: Mailroom, owner: Owner) -> None:
    async with Receiver() as gone:
        url = gone.url
    webhook = await mailroom.webhook(url)
    done = await owner.simulate(webhook.id)
    assert done.http_status is None
    assert "cannot connect" in str(done.error)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.error == done.error


async def test_a_template_that_fails_is_told_and_logged(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    webhook = await mailroom.webhook(receiver.url, payload_template="{{.Subject}}")
    done = await owner.simulate(webhook.id)
    assert str(done.error).startswith("payload_template: the template's output is not JSON")
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.simulated
    assert (attempt.result, attempt.error) == (Result.PERMANENT, done.error)
    assert receiver.requests == []


async def test_private_networks_are_not_called(mailroom: Mailroom, owner: Owner) -> None:
    webhook = await mailroom.webhook("http://169.254.169.254/latest/meta-data")
    done = await owner.simulate(webhook.id)
    assert done.http_status is None
    assert "may not be called" in str(done.error)


async def test_the_asker_waits_no_longer_than_it_said(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    receiver.always_answer(Answer(delay=5))
    webhook = await mailroom.webhook(receiver.url)
    done = await owner.simulate(webhook.id, timeout=0.5)
    assert done.error == "no answer within 0.5 s"


async def test_a_change_of_a_moment_ago_counts(
    mailroom: Mailroom, receiver: Receiver, owner: Owner
) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/old")
    await owner.simulate(webhook.id)
    await mailroom.webhooks.replace(
        webhook.model_copy(update={"target_url": f"{receiver.url}/new"})
    )
    await owner.simulate(webhook.id)
    assert len(receiver.at("/new")) == 1


async def test_a_webhook_that_is_gone_is_told(owner: Owner) -> None:
    done = await owner.simulate(new_id(Prefix.WEBHOOK))
    assert (done.http_status, done.error) == (None, "the webhook does not exist any more")
