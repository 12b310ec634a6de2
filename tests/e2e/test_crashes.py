"""Nothing that got its 250 is lost, whatever is killed while mail flows."""

import asyncio

import pytest

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.disturbances import kill, mail_flows
from tests.support.user import User

KILLED = ("dispatcher", "smtp-ingest", "rabbitmq", "store")
RATE = 200
BACK_WITHIN = 20
"""Seconds; more than are promised, for a machine that has other things to do."""


@pytest.mark.timeout(240)
async def test_every_mail_that_was_accepted_arrives(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    async with mail_flows(stack, webhook["address"], receiver, rate=RATE) as run:
        for program in KILLED:
            await run.disturb(kill(stack, program))
        report = await run.end()
    assert report.complaints(BACK_WITHIN) == [], report
    await asyncio.to_thread(stack.wait_ready)
