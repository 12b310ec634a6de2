"""How a service runs: signals, background tasks, and an ordered stop with a deadline.

A service's `app.py` has one composition function. What it builds it hands to its `Lifecycle`;
release is the reverse of construction, so what takes work in is built last and stops first.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

import uvloop

from conduit.errors import ConduitError, SettingsError
from conduit.settings import ServiceSettings
from conduit.telemetry.logging import configure_logging

T = TypeVar("T")
S = TypeVar("S", bound=ServiceSettings)

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """What a running service must release, in the reverse order of construction."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager, to be left at the stop."""
        return await self._stack.enter_async_context(manager)

    def on_stop(self, release: Callable[[], Awaitable[object]]) -> None:
        """Call `release` at the stop."""
        self._stack.push_async_callback(release)

    def on_stop_now(self, release: Callable[[], object]) -> None:
        """Call `release`, which does not wait for anything, at the stop."""
        self._stack.callback(release)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` in the background until the stop. If it fails, the service stops."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._stack.push_async_callback(_cancelled, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = self.failure or error
            self.stopping.set()

    async def release(self) -> None:
        """Release everything, last built first."""
        await self._stack.aclose()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


Compose = Callable[[S, Lifecycle], Awaitable[None]]


def run(name: str, compose: Compose[S], settings: S) -> int:
    """Run a service until SIGTERM or SIGINT; return its exit code."""
    configure_logging(name, settings.log_level)
    log.info("service.starting", extra={"settings": settings.described()})
    return uvloop.run(_run(compose, settings))


async def _run(compose: Compose[S], settings: S) -> int:
    lifecycle = Lifecycle()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, lifecycle.stopping.set)
    try:
        await _until_stopping(compose(settings, lifecycle), lifecycle.stopping)
        # What is built now stays until the end: no collection needs to look through it again.
        gc.collect()
        gc.freeze()
        await lifecycle.stopping.wait()
    except (ConduitError, OSError) as error:
        lifecycle.failure = error
    return await _stop(lifecycle, settings.stop_timeout)


async def _until_stopping(work: Awaitable[None], stopping: asyncio.Event) -> None:
    """Await `work`, but give it up when a signal comes first."""
    composing = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([composing, waiting], return_when=asyncio.FIRST_COMPLETED)
    for future in (composing, waiting):
        future.cancel()
    await asyncio.wait([composing, waiting])
    if not composing.cancelled():
        composing.result()


async def _stop(lifecycle: Lifecycle, deadline: float) -> int:
    failure = lifecycle.failure
    if failure is not None:
        trace = None if isinstance(failure, (ConduitError, OSError)) else failure
        log.error("service.failed", exc_info=trace, extra={"error": str(failure)})
    log.info("service.stopping")
    try:
        async with asyncio.timeout(deadline):
            await lifecycle.release()
    except TimeoutError:
        log.error("service.stop_timed_out", extra={"deadline_s": deadline})
        return 1
    log.info("service.stopped")
    return exit_code(failure)


def exit_code(failure: BaseException | None) -> int:
    """Return 2 for a setting that proves wrong, as when it is read; 1 for all other failures."""
    if failure is None:
        return 0
    return 2 if isinstance(failure, SettingsError) else 1
