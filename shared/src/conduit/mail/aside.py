"""Work on all of a mail's octets, which takes too long for the event loop when they are many."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MANY = 128 * 1024
"""Octets up to which it takes less time to read them than to hand them to a thread and back."""

# One: what is done here seldom lets other threads run meanwhile.
_worker = ThreadPoolExecutor(1, thread_name_prefix="mails")


async def aside(work: Callable[[], T], octets: int) -> T:
    """Return what some work on so many octets returns; it is done at once, or in a thread."""
    if octets <= MANY:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_worker, work)
