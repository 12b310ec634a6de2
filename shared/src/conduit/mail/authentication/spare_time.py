"""Work on mails that is too long for the event loop, done beside it and not beyond its time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

_FOR_DNS = 0.8
_FOR_WORK = 0.95
_SHORT_MAIL = 1 << 16  # octets
_FEW = 3  # signatures
_workers = ThreadPoolExecutor(2, thread_name_prefix="signatures")  # the others wait their turn


def is_short(octets: int, signatures: int) -> bool:
    """Tell whether it takes less time to verify a mail than to hand it to a thread and back."""
    return octets <= _SHORT_MAIL and signatures <= _FEW


class Allotment:
    """The time until a moment of the loop's clock: most of it for DNS, the rest to verify.

    A little is left over, so that what was found out by the deadline is still of use.
    """

    def __init__(self, deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        self.dns = now + (deadline - now) * _FOR_DNS
        self._work = now + (deadline - now) * _FOR_WORK

    async def do(self, work: Callable[[Callable[[], None]], T], *, short: bool) -> T:
        """Return what the work returns, or raise TimeoutError.

        It is given a function to call now and then, which ends it when its time is over or nobody
        waits for it any more: a thread cannot be stopped from outside. `short` work is done at
        once.
        """
        loop = asyncio.get_running_loop()
        end = _End(self._work - loop.time())
        if short:
            return work(end.check)
        try:
            async with asyncio.timeout_at(self._work):
                return await loop.run_in_executor(_workers, work, end.check)
        finally:
            end.come()


class _End:
    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def check(self) -> None:
        """Raise TimeoutError when it has come."""
        if monotonic() >= self._at:
            raise TimeoutError

    def come(self) -> None:
        """Let it have come."""
        self._at = 0.0
