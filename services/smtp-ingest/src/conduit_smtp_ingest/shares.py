"""Shares: how much of a webhook's mail stands in the common queue. What is beyond gives way."""

import time
from collections.abc import Callable

from prometheus_client import Counter

from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK

BEYOND = Counter(
    "conduit_ingest_beyond_share", "Mails of webhooks that had more than their share of the queue."
)

_REMEMBERED = 100_000
"""Webhooks whose use is counted at a time; beyond, those of some moments ago are forgotten."""


class Shares:
    """Gives each webhook `at_once` mails of the common queue, and `per_second` more as time passes.

    The others of its mails go to the bulk lane, where they are before nobody who keeps to a share.
    A share that nothing was taken of for a while is full again, and known no more: what is kept is
    the moment at which each will be full, for the time that it takes an empty one.
    """

    def __init__(
        self,
        at_once: int,
        per_second: float,
        *,
        remembered: int = _REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = 1 / per_second
        self._depth = at_once / per_second
        self._most = self._depth + self._step / 1000  # for moments add up to a little more
        self._remembered = remembered
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._earlier: dict[str, float] = {}
        self._ends = clock() + self._depth

    def lane(self, webhook_id: str) -> str:
        """Return the queue for one more mail of a webhook."""
        now = self._clock()
        if now >= self._ends or len(self._full_at) >= self._remembered:
            self._forget(now)
        full_at = self._full_at.get(webhook_id) or self._earlier.get(webhook_id, now)
        full_at = max(full_at, now) + self._step
        if full_at - now > self._most:
            BEYOND.inc()
            return DELIVERIES_BULK
        self._full_at[webhook_id] = full_at
        return DELIVERIES

    def _forget(self, now: float) -> None:
        """Forget what was counted a whole `depth` ago: all of these are full again by now."""
        self._earlier, self._full_at = self._full_at, {}
        self._ends = now + self._depth
