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

from prometheus_client.multiprocess import mark_process_dead

from conduit.errors import SettingsError
from conduit.service import Lifecycle, exit_code, run
from conduit.telemetry.logging import configure_logging
from conduit_smtp_ingest.app import compose
from conduit_smtp_ingest.certificate import load_certificate
from conduit_smtp_ingest.settings import IngestSettings

log = logging.getLogger(__name__)

_RESTART_PAUSE = 1.0  # seconds


def run_processes(settings: IngestSettings) -> int:
    """Run as many processes as the settings say until SIGTERM or SIGINT; return the exit code.

    A process that is killed is replaced; one that fails ends the service, as it does when it is
    the only one. Their metrics are summed by way of files that they share.
    """
    configure_logging("smtp-ingest", settings.log_level)
    with tempfile.TemporaryDirectory(prefix="conduit-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        return asyncio.run(_run(settings))


async def _run(settings: IngestSettings) -> int:
    try:
        await _check(settings)
    except (SettingsError, OSError) as error:
        log.error("service.failed", extra={"error": str(error)})
        return exit_code(error)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    keepers = [_keep_one(settings, stopping) for _ in range(settings.smtp_processes)]
    return max(await asyncio.gather(*keepers))


async def _check(settings: IngestSettings) -> None:
    """Raise what every process would fail with, and make the certificate that they share.

    They share a port with whoever else shares it, so here each is asked for without sharing.
    """
    load_certificate(settings)
    for port in filter(None, (settings.smtp_port, settings.smtp_tls_port)):
        server = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, settings.smtp_host, port, start_serving=False
        )
        server.close()


async def _keep_one(settings: IngestSettings, stopping: asyncio.Event) -> int:
    """Keep one process running until the stop, then pass the signal on; return its exit code."""
    while not stopping.is_set():
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(settings,))
        process.start()
        await _first_of(process, stopping)
        if stopping.is_set():
            return await _terminated(process)
        process.join()
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        log.error("process.died", extra={"pid": process.pid, "exit_code": process.exitcode})
        if process.exitcode is not None and process.exitcode > 0:
            stopping.set()
            return process.exitcode
        await asyncio.wait([asyncio.ensure_future(stopping.wait())], timeout=_RESTART_PAUSE)
    return 0


async def _first_of(process: SpawnProcess, stopping: asyncio.Event) -> None:
    """Return when the process has ended or the stop has come."""
    either = [asyncio.ensure_future(_ended(process)), asyncio.ensure_future(stopping.wait())]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for waiting in either:
        waiting.cancel()
    await asyncio.wait(either)


async def _ended(process: SpawnProcess) -> None:
    """Return when the process has ended: its sentinel becomes readable then."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


async def _terminated(process: SpawnProcess) -> int:
    process.terminate()
    await _ended(process)
    process.join()
    # One that had only begun to start does not know yet how to stop in order.
    return 0 if process.exitcode == -signal.SIGTERM else abs(process.exitcode or 0)


def _work(settings: IngestSettings) -> None:
    sys.exit(run("smtp-ingest", _compose, settings))


async def _compose(settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """As one process does, but stop when the parent is gone, even by SIGKILL."""
    parent = parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()
        loop.add_reader(parent.sentinel, lifecycle.stopping.set)
    await compose(settings, lifecycle)
