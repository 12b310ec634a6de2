"""Several processes on one port."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued, Settings
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[Ingest]:
    """Two processes, both of which listen, with a certificate that they have yet to make."""
    tls = {
        "CONDUIT_SMTP_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "CONDUIT_SMTP_TLS_KEY": str(tmp_path / "key.pem"),
        "TMPDIR": str(tmp_path),  # where a parent that is killed leaves its metrics
    }
    with Ingest(tmp_path, settings | tls | {"CONDUIT_SMTP_PROCESSES": "2"}) as ingest:
        yield ingest


async def test_two_processes_serve_one_port_and_outlive_each_other(
    pair: Ingest, webhook: Webhook, queued: Queued
) -> None:
    await listening(pair, 2)
    workers = pair.workers()
    assert len(workers) == 2

    mails = 24
    for _ in range(mails):
        await send(pair, webhook)
    await queued.expect(webhook, mails)
    assert pair.metric("conduit_ingest_accepted_total") == mails
    assert pair.said().count("mail.accepted") == mails
    async with greeted(pair.port) as first, greeted(pair.port) as second:
        await first.start_tls()
        await second.start_tls()
        await eventually(lambda: pair.metric("conduit_ingest_sessions") == 2, what="2 sessions")

        os.kill(workers[0], signal.SIGKILL)
        await eventually(lambda: replaced(pair, workers[0]), what="another process")
    await listening(pair, 3)  # as often as one has begun to listen
    assert workers[1] in pair.workers()
    await send(pair, webhook)
    await eventually(lambda: pair.metric("conduit_ingest_sessions") == 0, what="no session")
    assert pair.metric("conduit_ingest_accepted_total") == mails + 1

    # The stop is in order although one of them is only being replaced.
    os.kill(workers[1], signal.SIGKILL)
    await eventually(lambda: pair.said().count("process.died") == 2, what="the death of one")
    workers = pair.workers()
    pair.signal(signal.SIGTERM)
    assert await asyncio.to_thread(pair.exit_code) == 0
    assert not any(map(running, workers))


async def test_nothing_is_left_of_a_killed_parent(pair: Ingest) -> None:
    workers = pair.workers()
    pair.signal(signal.SIGKILL)
    await asyncio.to_thread(pair.exit_code)
    await eventually(lambda: not any(map(running, workers)), what="the workers' end")


async def listening(pair: Ingest, times: int) -> None:
    await eventually(
        lambda: pair.said().count("service.started") == times, within=20, what="all processes"
    )


def replaced(pair: Ingest, worker: int) -> bool:
    workers = pair.workers()
    return len(workers) == 2 and worker not in workers


def running(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def send(pair: Ingest, webhook: Webhook) -> None:
    async with greeted(pair.port) as client:
        assert (await client.mail(b"x\r\n", webhook.address)).startswith("250 ")
