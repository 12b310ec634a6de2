"""Endpoints that fail: the breaker's state in the store, which all dispatchers share.

An endpoint that is fine has no document and costs no write. What is known of the others is
remembered for the seconds of the cache.
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import Counter

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Result
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.record import utc_now
from conduit.store.batched import Batched
from conduit.store.cached import Cached
from conduit_dispatcher.answers import Answer
from conduit_dispatcher.breaker import Rules, Sign, State, claimed, failed, sign, state
from conduit_dispatcher.locks import Locks

log = logging.getLogger(__name__)

BREAKER = Counter(
    "conduit_dispatcher_breaker", "Endpoints left alone, and fine again, by change.", ["change"]
)

_CACHED = 10_000
_TRIES = 50
"""Rounds against other replicas that write of the same endpoint at the same moment."""

_STEP = timedelta(milliseconds=20)
"""Between two mails that come back to an endpoint which fails, so that they do not come at once."""

_SPREAD = timedelta(minutes=10)
"""The longest time over which they are spread."""


@dataclass(frozen=True, slots=True)
class Permit:
    """That an endpoint may be called. `seen` is what was known of it, `probe` what was written to
    be the one that sees whether it is fine again."""

    seen: EndpointHealth | None = None
    probe: EndpointHealth | None = None


class Healths(Protocol):
    """What the dispatcher needs of the collection of endpoints that fail."""

    async def of_id(self, webhook_id: str) -> EndpointHealth | None:
        """Return what is known of an endpoint; None: it is fine."""

    async def of_ids(self, webhook_ids: Collection[str]) -> Mapping[str, EndpointHealth]:
        """Return the same of several, for those that fail."""

    async def write(self, health: EndpointHealth) -> EndpointHealth | None:
        """Write over what this was made of; None: another was faster."""

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        """Delete what is known."""


FINE = Permit()
"""To call an endpoint of which nothing is known."""


class Endpoints:
    """Says whether an endpoint may be called, and takes note of what its calls tell."""

    def __init__(self, healths: Healths, rules: Rules, *, cache: float) -> None:
        self._healths = healths
        self._rules = rules
        look_up = Batched(healths.of_ids).get
        self._cached = Cached(look_up, seconds=cache, size=_CACHED, renew=True)
        self._locks = Locks()
        self._tails: OrderedDict[str, datetime] = OrderedDict()

    async def health(self, webhook_id: str) -> EndpointHealth | None:
        """Return what was known of an endpoint some seconds ago at most; None: it is fine."""
        return await self._cached.get(webhook_id)

    async def permit(self, webhook_id: str) -> Permit | None:
        """Return that a call may be made at this moment, which is then to be noted; or None."""
        health = await self.health(webhook_id)
        if health is None:
            return FINE
        match state(health, utc_now()):
            case State.CLOSED:
                return Permit(health)
            case State.OPEN:
                return None
        probe = await self._healths.write(claimed(health, self._rules, utc_now()))
        self._cached.forget(webhook_id)
        return None if probe is None else Permit(health, probe)

    def turn(self, webhook_id: str, retry_at: datetime) -> datetime:
        """Return when a mail is to come back to an endpoint that is not called before `retry_at`.

        The first one then is the probe. The others follow it at a distance, so that however many
        there are, to see whether it is fine costs little.
        """
        turn = max(self._tails.get(webhook_id, retry_at), retry_at)
        if turn > retry_at + _SPREAD:
            return retry_at + _SPREAD * random.random()  # noqa: S311 (spreads, hides nothing)
        self._tails[webhook_id] = turn + _STEP
        self._tails.move_to_end(webhook_id)
        if len(self._tails) > _CACHED:
            self._tails.popitem(last=False)
        return turn

    async def note(self, webhook_id: str, answer: Answer, permit: Permit) -> None:
        """Take note of what came of a permit.

        It is no part of the mail's own record, so a store that is away does not fail the mail.
        """
        if permit is FINE and answer.result is not Result.TRANSIENT:
            return
        told = sign(answer)
        try:
            async with self._locks.of(webhook_id):
                match told:
                    case Sign.ALIVE:
                        await self._alive(webhook_id)
                    case Sign.FAILING:
                        await self._failing(webhook_id, answer, probe=permit.probe is not None)
                    case Sign.NONE if permit.probe is not None:
                        await self._withdraw(permit.probe)
        except StoreUnavailable as error:
            log.warning("endpoint.not_noted", extra={"webhook_id": webhook_id, "error": str(error)})

    async def _withdraw(self, probe: EndpointHealth) -> None:
        """Let another mail be the probe, for there was no call with this one."""
        await self._healths.write(probe.model_copy(update={"retry_at": utc_now()}))
        self._cached.forget(probe.webhook_id)

    async def _alive(self, webhook_id: str) -> None:
        health = await self.health(webhook_id)
        if health is None:
            return
        await self._healths.forget([webhook_id])
        self._cached.forget(webhook_id)
        self._tails.pop(webhook_id, None)
        if health.retry_at is not None:
            BREAKER.labels("closed").inc()
            log.info("endpoint.recovered", extra=_told(health))

    async def _failing(self, webhook_id: str, answer: Answer, *, probe: bool) -> None:
        if not probe and state(await self.health(webhook_id), utc_now()) is State.OPEN:
            return None  # the call had begun before, and changes nothing
        for _ in range(_TRIES):
            seen = await self._healths.of_id(webhook_id)
            chance = random.random()  # noqa: S311 (spreads probes, hides nothing)
            health = failed(
                seen, webhook_id, answer, self._rules, now=utc_now(), chance=chance, probe=probe
            )
            if (written := await self._healths.write(health)) is not None:
                return self._written(seen, written)
        raise StoreUnavailable("the health of this endpoint is contended")

    def _written(self, seen: EndpointHealth | None, written: EndpointHealth) -> None:
        self._cached.forget(written.webhook_id)
        if written.retry_at is None or (seen is not None and written.retry_at == seen.retry_at):
            return
        BREAKER.labels("opened" if written.pauses <= 1 else "stays").inc()
        log.warning("endpoint.left_alone", extra=_told(written))


def _told(health: EndpointHealth) -> dict[str, object]:
    return {
        "webhook_id": health.webhook_id,
        "failing_since": health.failing_since,
        "failures": health.failures,
        "retry_at": health.retry_at,
        "error": health.last_error,
    }
