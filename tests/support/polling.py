"""Waiting in tests: for a state, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which what has not come is missing: far more than it takes where others compute."""

_INTERVAL = 0.02


@overload
async def eventually(
    state: Callable[[], Awaitable[T]], *, within: float = PATIENCE, what: str = "the state"
) -> T: ...


@overload
async def eventually(
    state: Callable[[], T], *, within: float = PATIENCE, what: str = "the state"
) -> T: ...


async def eventually(
    state: Callable[[], Any], *, within: float = PATIENCE, what: str = "the state"
) -> Any:
    """Return what `state` returns as soon as it is true, or fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = state()
        value = await found if isawaitable(found) else found
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {within:g} s; last: {value!r}")
        await asyncio.sleep(_INTERVAL)
