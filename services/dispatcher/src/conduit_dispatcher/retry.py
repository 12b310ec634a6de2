"""What comes after an attempt: the schedule is data, the next step is arithmetic."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from conduit.model.delivery import DeliveryState, Result

LONGEST_WAIT = timedelta(days=1)
"""Bound on what an endpoint may ask for with Retry-After."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Waits after the first, second, … failed attempt; `jitter` is a share of each."""

    delays: tuple[timedelta, ...]
    jitter: float

    @classmethod
    def of_seconds(cls, delays: tuple[float, ...], jitter: float) -> "RetrySchedule":
        """Return the schedule that the settings give."""
        return cls(tuple(timedelta(seconds=delay) for delay in delays), jitter)

    @property
    def longest_wait(self) -> timedelta:
        """The longest time between two attempts, whatever the endpoint asks for."""
        return max([LONGEST_WAIT, *(delay * (1 + self.jitter) for delay in self.delays)])


@dataclass(frozen=True, slots=True)
class Finished:
    """The endpoint has the mail."""

    state = DeliveryState.DELIVERED


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt, no earlier than `at`."""

    at: datetime
    state = DeliveryState.PENDING


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt more. `switch_off`: the endpoint said that it is gone for good (410)."""

    switch_off: bool = False
    state = DeliveryState.FAILED


NextStep = Finished | Retry | GiveUp


def next_step(
    result: Result,
    number: int,
    schedule: RetrySchedule,
    *,
    now: datetime,
    chance: float,
    retry_after: timedelta | None = None,
) -> NextStep:
    """Decide after the attempt with this number, counted from 1.

    `chance`, from 0 to 1, picks the jitter. An endpoint's `retry_after` can put the next attempt
    off, up to a day, but not bring it forward.
    """
    if result is Result.DELIVERED:
        return Finished()
    if result is not Result.TRANSIENT or number > len(schedule.delays):
        return GiveUp(switch_off=result is Result.GONE)
    delay = schedule.delays[number - 1] * (1 + schedule.jitter * chance)
    asked = min(retry_after or timedelta(0), LONGEST_WAIT)
    return Retry(now + max(delay, asked))
