"""Nothing that got its 250 is lost, whatever is killed while mail flows."""

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.log_lines import log_lines
from tests.support.polling import eventually
from tests.support.user import User

MAILS = 2000
ROUND = 50
KILLED = ("dispatcher", "smtp-ingest", "rabbitmq")
PREFETCH = 200
BACK = 10
"""Seconds within which mail flows again after a kill."""


class AcceptedMails:
    """The delivery ids that the ingest's log tells of: written when durable, before each 250."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def ids(self) -> set[str]:
        """All ids so far."""
        return {
            delivery_id
            for line in log_lines(self._log)
            if line.get("event") == "mail.accepted"
            for delivery_id in line["delivery_ids"]
        }


class Load:
    """Sends mail with smtp-source, round after round; a round ends at its first failure."""

    def __init__(self, server: str, recipient: str) -> None:
        program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        assert program is not None, "smtp-source is missing: install Debian's postfix"
        self._command = (
            *(program, "-s", "5", "-m", str(ROUND), "-l", "2048"),
            *("-f", "load@example.com", "-t", recipient, server),
        )

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise


@pytest.mark.timeout(240)
async def test_every_mail_that_was_accepted_arrives(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    accepted = AcceptedMails(stack.log("smtp-ingest"))
    before = accepted.ids()
    load = Load(urlsplit(stack.urls.smtp).netloc, webhook["address"])
    sending = asyncio.create_task(load.run())
    for number, program in enumerate(KILLED, start=1):
        await _accepted(accepted, before, number * MAILS // (len(KILLED) + 1))
        await asyncio.to_thread(stack.kill, program)
        seen = len(receiver.requests)
        await receiver.wait_for(seen + ROUND, timeout=BACK + 5)
    await _accepted(accepted, before, MAILS)
    sending.cancel()
    await asyncio.wait([sending])

    ids = accepted.ids() - before
    await receiver.wait_until(lambda calls: ids <= {call.webhook_id for call in calls}, timeout=60)
    assert len(receiver.requests) - len(ids) <= PREFETCH * len(KILLED)
    await asyncio.to_thread(stack.wait_ready)


async def _accepted(accepted: AcceptedMails, before: set[str], count: int) -> None:
    await eventually(
        lambda: len(accepted.ids() - before) >= count, within=60, what=f"{count} accepted mails"
    )
