"""What is to be done about an endpoint that fails: a pure decision, the clock passed in.

An endpoint has failed for as long as it was seen to: from its first failed call to the latest, with
none in between that it took. A single call that failed days ago, with no mail since to call for,
says nothing of these days.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from conduit.model.endpoint_health import EndpointHealth
from conduit.model.webhook import Webhook

_FORGOTTEN = timedelta(days=30)
"""After how long without any call it says nothing any more that an endpoint failed."""

_SHARE = 24
"""Looks at one endpoint within the shortest time that matters."""


class Step(Enum):
    """What is to be done: nothing as yet, something, or never anything."""

    WAIT = auto()
    TELL_FAILING = auto()
    PAUSE = auto()
    TELL_PAUSED = auto()
    FORGET = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an endpoint may fail until its owner is told, and until its webhook is paused.

    `paused_after` is None when it never is.
    """

    told_after: timedelta
    paused_after: timedelta | None

    @property
    def shortest(self) -> timedelta:
        """How long an endpoint must have failed for anything to be done."""
        return min(self.told_after, self.paused_after or self.told_after)

    @property
    def between_looks(self) -> timedelta:
        """How long to wait until one endpoint is looked at again."""
        return max(self.shortest / _SHARE, timedelta(seconds=1))

    def pauses_at(self, health: EndpointHealth) -> datetime | None:
        """Return the moment at which the webhook will be paused, if it goes on."""
        return None if self.paused_after is None else health.failing_since + self.paused_after


def step_of(
    health: EndpointHealth, webhook: Webhook | None, now: datetime, patience: Patience
) -> Step:
    """Return what is to be done about an endpoint, and its webhook if that is there still."""
    if webhook is None or not webhook.active or now - health.last_failed_at > _FORGOTTEN:
        return Step.FORGET
    told_at = health.noticed_at
    if webhook.paused_at is not None:
        known = told_at is not None and told_at >= webhook.paused_at
        return Step.WAIT if known else Step.TELL_PAUSED
    failed_for = health.last_failed_at - health.failing_since
    if patience.paused_after is not None and failed_for >= patience.paused_after:
        return Step.PAUSE
    return Step.TELL_FAILING if told_at is None and failed_for >= patience.told_after else Step.WAIT
