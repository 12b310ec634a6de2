"""The life of a service: what is built last stops first, and a failure has its exit code."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from conduit.errors import BrokerUnavailable, SettingsError
from conduit.service import Lifecycle, run
from conduit.settings import ServiceSettings

Compose = Callable[[ServiceSettings, Lifecycle], Awaitable[None]]


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """A service takes the process's logs over; afterwards they are as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logger.level for name, logger in logging.root.manager.loggerDict.items()
             if isinstance(logger, logging.Logger)}  # fmt: skip
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def lived(compose: Compose, stop_timeout: float = 5) -> int:
    """Run a service; its exit code."""
    return run("test", compose, ServiceSettings(stop_timeout=stop_timeout))


def stop_soon() -> None:
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)


def test_release_is_the_reverse_of_construction() -> None:
    released: list[str] = []

    @asynccontextmanager
    async def store() -> AsyncIterator[None]:
        yield
        released.append("store")

    async def bus() -> None:
        released.append("bus")

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            released.append("background")

    async def compose(_settings: ServiceSettings, lifecycle: Lifecycle) -> None:
        await lifecycle.enter(store())
        lifecycle.on_stop(bus)
        lifecycle.spawn(background(), "background")
        lifecycle.on_stop_now(lambda: released.append("listener"))
        stop_soon()

    assert lived(compose) == 0
    assert released == ["listener", "background", "bus", "store"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_service_that_is_still_being_built(number: signal.Signals) -> None:
    released: list[str] = []

    async def compose(_settings: ServiceSettings, lifecycle: Lifecycle) -> None:
        lifecycle.on_stop_now(lambda: released.append("store"))
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        await asyncio.Event().wait()

    assert lived(compose) == 0
    assert released == ["store"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SettingsError("CONDUIT_X is wrong"), 2),
        (OSError(98, "address already in use"), 1),
        (BrokerUnavailable("refused"), 1),
    ],
)
def test_a_service_that_cannot_be_built_releases_what_it_has(
    failure: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    released: list[str] = []

    async def compose(_settings: ServiceSettings, lifecycle: Lifecycle) -> None:
        lifecycle.on_stop_now(lambda: released.append("store"))
        raise failure

    assert lived(compose) == code
    assert released == ["store"]
    [complaint] = [line for line in capsys.readouterr().err.splitlines() if '"error"' in line]
    assert f'"error":"{failure}"' in complaint
    assert "traceback" not in complaint


def test_a_background_task_that_fails_ends_the_service(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def breaks() -> None:
        raise RuntimeError("broken")

    async def compose(_settings: ServiceSettings, lifecycle: Lifecycle) -> None:
        lifecycle.spawn(breaks(), "breaks")

    assert lived(compose) == 1
    assert "RuntimeError: broken" in capsys.readouterr().err


def test_a_stop_that_takes_too_long_is_cut_short_and_goes_on_with_the_rest() -> None:
    released: list[str] = []

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def compose(_settings: ServiceSettings, lifecycle: Lifecycle) -> None:
        lifecycle.on_stop_now(lambda: released.append("store"))
        lifecycle.on_stop(hangs)
        stop_soon()

    assert lived(compose, stop_timeout=0.1) == 1
    assert released == ["store"]
