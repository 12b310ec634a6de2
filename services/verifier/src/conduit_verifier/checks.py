"""Checks of claims: DNS is asked, the claim is changed by what it shows, the asker is answered.

Two replicas may check one claim at once. A change is written over the claim that it was made from,
or else made again from the newer one, so none is lost.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from dns.asyncresolver import Resolver
from prometheus_client import Counter

from conduit.errors import DuplicateKey, MalformedEvent, StoreUnavailable, VersionConflict
from conduit.events import DomainChecked, DomainCheckRequested, Event
from conduit.model.domain import Domain
from conduit.model.record import utc_now
from conduit.store.domains import Domains
from conduit_verifier.lookup import Evidence, Finding, look_up

log = logging.getLogger(__name__)

CHECKS = Counter(
    "conduit_domain_checks",
    "Checks of domain claims, by what asked for them and how they ended.",
    ["trigger", "outcome"],
)

_TRIES = 10
"""Rounds against others that change the same claim at the same moment."""

_GONE = "This claim does not exist any more."
_TAKEN = "Another account has verified this domain."

Change = Callable[[Domain, Finding, datetime], Domain]


class Checks:
    """Checks claims and keeps what was found."""

    def __init__(self, domains: Domains, resolver: Resolver) -> None:
        self._domains = domains
        self._resolver = resolver

    async def answer(self, request: Event) -> Event:
        """Check a claim because its owner asks."""
        if not isinstance(request, DomainCheckRequested):
            raise MalformedEvent(f"not a request for a check: {request.KIND}")
        claim = await self._domains.of_id(request.domain_id)
        if claim is None:
            return DomainChecked(request.domain_id, _GONE)
        return await self.check(claim, asked, trigger="request")

    async def check(self, claim: Domain, change: Change, *, trigger: str) -> DomainChecked:
        """Look a claim up, keep what `change` makes of the finding, and say what it was."""
        started = time.monotonic()
        evidence = await look_up(self._resolver, claim)
        now = utc_now()
        try:
            kept = await self._keep(claim, lambda current: change(current, evidence.finding, now))
            checked = DomainChecked(claim.id, evidence.problem if kept else _GONE)
        except DuplicateKey:
            kept, checked = claim, DomainChecked(claim.id, _TAKEN, taken=True)
        _record(trigger, claim, kept, checked, evidence, time.monotonic() - started)
        return checked

    async def _keep(self, claim: Domain, change: Callable[[Domain], Domain]) -> Domain | None:
        """Write the change, made again if the claim changed meanwhile; None: it was deleted."""
        current: Domain | None = claim
        for _ in range(_TRIES):
            if current is None:
                return None
            changed = change(current)
            if changed == current:
                return current
            try:
                return await self._domains.replace(changed)
            except VersionConflict:
                current = await self._domains.of_id(claim.id)
        raise StoreUnavailable("the claim is contended")


def asked(claim: Domain, finding: Finding, now: datetime) -> Domain:
    """Return the claim after a check that its owner asked for.

    A verified one is not harmed by asking, and asking does not put off its next re-check, which
    would keep a domain for ever whose record is gone.
    """
    if finding is Finding.PUBLISHED:
        return proven(claim, now)
    if finding is Finding.UNKNOWN or claim.verified:
        return claim
    return claim.model_copy(update={"checked_at": now})


def proven(claim: Domain, now: datetime) -> Domain:
    """Return the claim after its token was found."""
    verified_at = claim.verified_at if claim.verified else now
    found = {"verified": True, "verified_at": verified_at, "checked_at": now, "missed": 0}
    return claim.model_copy(update=found)


def _record(
    trigger: str,
    claim: Domain,
    kept: Domain | None,
    checked: DomainChecked,
    evidence: Evidence,
    seconds: float,
) -> None:
    outcome = _outcome(claim, kept, checked, evidence)
    CHECKS.labels(trigger, outcome).inc()
    fields = {
        "domain_id": claim.id,
        "account_id": claim.account_id,
        "domain": claim.name,
        "trigger": trigger,
        "outcome": outcome,
        "verified": kept is not None and kept.verified,
        "missed": kept.missed if kept else claim.missed,
        "cause": evidence.cause,
        "duration_ms": round(seconds * 1000),
    }
    log.info("domain.checked", extra=fields)


def _outcome(claim: Domain, kept: Domain | None, checked: DomainChecked, evidence: Evidence) -> str:
    if checked.taken:
        return "taken"
    if kept is None:
        return "deleted"
    if claim.verified and not kept.verified:
        return "lost"
    return evidence.finding
