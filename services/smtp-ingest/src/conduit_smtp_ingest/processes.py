"""Several processes that share one SMTP port, under a parent that only watches over them."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from typing import Any

from conduit.service import Lifecycle, run
from conduit.telemetry.logging import configure_logging
from conduit_smtp_ingest.app import compose
from conduit_smtp_ingest.settings import IngestSettings

log = logging.getLogger(__name__)

_RESTART_PAUSE = 1.0  # seconds


def run_processes(settings: IngestSettings) -> int:
    """Run as many processes as the settings say until SIGTERM or SIGINT; return the exit code.

    A process that dies is replaced. Their metrics are summed by way of files that they share.
    """
    configure_logging("smtp-ingest", settings.log_level)
    with tempfile.TemporaryDirectory(prefix="conduit-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        return asyncio.run(_watch_over(settings))


async def _watch_over(settings: IngestSettings) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    keepers = [_keep_one(settings, stopping) for _ in range(settings.smtp_processes)]
    return max(await asyncio.gather(*keepers))


async def _keep_one(settings: IngestSettings, stopping: asyncio.Event) -> int:
    """Keep one process running until the stop, then pass the signal on; return its exit code."""
    while not stopping.is_set():
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(settings,))
        process.start()
        ended = asyncio.ensure_future(asyncio.to_thread(process.join))
        await _first_of(ended, stopping)
        if stopping.is_set():
            return await _terminated(process, ended)
        log.error("process.died", extra={"pid": process.pid, "exit_code": process.exitcode})
        await asyncio.wait([asyncio.ensure_future(stopping.wait())], timeout=_RESTART_PAUSE)
    return 0


async def _first_of(ended: asyncio.Future[None], stopping: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(stopping.wait())
    either: list[asyncio.Future[Any]] = [ended, waiting]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _terminated(process: SpawnProcess, ended: asyncio.Future[None]) -> int:
    process.terminate()
    await ended
    return abs(process.exitcode or 0)


def _work(settings: IngestSettings) -> None:
    sys.exit(run("smtp-ingest", _compose, settings))


async def _compose(settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """As one process does, but stop when the parent is gone, even by SIGKILL."""
    parent = parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()
        loop.add_reader(parent.sentinel, lifecycle.stopping.set)
    await compose(settings, lifecycle)
