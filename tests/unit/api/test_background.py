"""What requests leave behind is done, again when it must be, and within bounds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from conduit.errors import StoreUnavailable
from conduit_api.background import Background, Overloaded


@asynccontextmanager
async def running(background: Background) -> AsyncIterator[None]:
    task = asyncio.create_task(background.run())
    yield
    task.cancel()
    await asyncio.wait([task])


def background(
    pauses: tuple[float, ...] = (), *, at_once: int = 2, waiting: int = 10
) -> Background:
    return Background("test", at_once=at_once, waiting=waiting, pauses=pauses)


def failing(times: int, done: list[str], error: Exception) -> Callable[[], Awaitable[None]]:
    left = iter(range(times))

    async def work() -> None:
        if next(left, None) is not None:
            raise error
        done.append("done")

    return work


async def test_what_is_left_is_done() -> None:
    done: list[str] = []
    work = background()
    async with running(work):
        for _ in range(5):
            work.leave(failing(0, done, StoreUnavailable()))
        await work.finish(5)
    assert done == ["done"] * 5


async def test_what_may_go_through_later_is_done_again() -> None:
    done: list[str] = []
    work = background((0, 0))
    async with running(work):
        work.leave(failing(2, done, StoreUnavailable("away")))
        await work.finish(5)
    assert done == ["done"]


async def test_what_never_goes_through_is_given_up_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    work = background((0, 0))
    async with running(work):
        work.leave(failing(3, done, StoreUnavailable("away")))
        await work.finish(5)
    assert done == []
    assert caplog.messages == ["background.postponed"] * 2 + ["background.given_up"]


async def test_a_fault_is_told_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    work = background(at_once=1)
    async with running(work):
        work.leave(failing(1, done, ValueError("a fault")))
        work.leave(failing(0, done, ValueError()))
        await work.finish(5)
    assert done == ["done"]
    assert caplog.messages == ["background.failed"]


async def test_no_more_than_the_bound_waits() -> None:
    work = background(waiting=2)
    for _ in range(2):
        work.leave(failing(0, [], ValueError()))
    with pytest.raises(Overloaded):
        work.leave(failing(0, [], ValueError()))


async def test_the_stop_waits_for_a_limited_time(caplog: pytest.LogCaptureFixture) -> None:
    work = background()
    async with running(work):
        work.leave(asyncio.Event().wait)  # type: ignore[arg-type]  # never ends
        await work.finish(0.05)
    assert caplog.messages == ["background.unfinished"]
    assert caplog.records[0].__dict__["count"] == 1
