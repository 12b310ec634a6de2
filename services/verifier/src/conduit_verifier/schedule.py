"""Re-checks of verified domains on a schedule.

A domain that changed hands must not stay with its former owner for ever, and one bad day of DNS
must not take it from anybody. So a verified claim is checked again at an interval, and it is given
up only after several re-checks in a row found its record gone. Trouble with DNS neither counts nor
begins the count anew. Claims that are not verified are checked when their owners ask.

A replica takes a due claim by writing `checked_at` with a version check before it asks DNS, so the
others pass it over. A crash after that costs this claim one re-check, which is no harm.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import NoReturn

from conduit.errors import Unavailable, VersionConflict
from conduit.model.domain import Domain
from conduit.model.record import utc_now
from conduit.store.domains import Domains
from conduit_verifier.checks import Checks, proven
from conduit_verifier.lookup import Finding

log = logging.getLogger(__name__)

_BATCH = 20
"""Re-checks at a time, in each replica."""

_PAUSE = 60.0
"""Most seconds between two looks for claims that are due."""


class Schedule:
    """Checks verified claims again, `interval` after their last check."""

    def __init__(
        self, domains: Domains, checks: Checks, *, interval: timedelta, misses: int
    ) -> None:
        self._domains = domains
        self._checks = checks
        self._interval = interval
        self._misses = misses

    async def run(self) -> NoReturn:
        """Go on until cancelled."""
        pause = min(_PAUSE, self._interval.total_seconds())
        while True:
            try:
                full = await self._round()
            except Unavailable as error:
                log.warning("schedule.postponed", extra={"error": str(error)})
                full = False
            if not full:
                await asyncio.sleep(pause)

    async def _round(self) -> bool:
        """Check what is due, up to a batch; return whether there may be more."""
        now = utc_now()
        due = await self._domains.due_for_check(now - self._interval, _BATCH)
        results = await asyncio.gather(
            *(self._recheck(claim, now) for claim in due), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(due) == _BATCH

    async def _recheck(self, claim: Domain, now: datetime) -> None:
        try:
            taken = await self._domains.replace(claim.model_copy(update={"checked_at": now}))
        except VersionConflict:
            return
        await self._checks.check(taken, self._rechecked, trigger="schedule")

    def _rechecked(self, claim: Domain, finding: Finding, now: datetime) -> Domain:
        """Return the claim after a re-check."""
        if finding is Finding.UNKNOWN or not claim.verified:
            return claim
        if finding is Finding.PUBLISHED:
            return proven(claim, now) if claim.missed else claim
        missed = claim.missed + 1
        if missed < self._misses:
            return claim.model_copy(update={"missed": missed})
        return claim.model_copy(update={"verified": False, "verified_at": None, "missed": 0})
