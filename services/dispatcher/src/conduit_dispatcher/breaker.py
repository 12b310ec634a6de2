"""The circuit breaker as arithmetic: when an endpoint that fails is left alone, and how long.

An endpoint without a health is fine. After some failures in a row it is not called until
`retry_at`. Then one mail is the probe: whoever has written `claimed`. If it is answered, the health
is removed; if not, the next pause is longer. Calls that had begun before the pause count, but
change no pause.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from conduit.model.delivery import Result
from conduit.model.endpoint_health import EndpointHealth
from conduit_dispatcher.answers import Answer

_ASKED = frozenset({429, 503})
"""Answers whose Retry-After is meant for all calls (RFC 6585 §4, RFC 9110 §15.6.4)."""


class State(Enum):
    """Whether an endpoint may be called. `DUE`: by one mail, to see whether it is fine again."""

    CLOSED = auto()
    DUE = auto()
    OPEN = auto()


class Sign(Enum):
    """What a call tells of the endpoint, whatever became of the mail. `NONE`: nothing."""

    ALIVE = auto()
    FAILING = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """After `failures` in a row there is a `first` pause, each further one twice as long, up to
    `longest`; `jitter` is a share of each that is added at random. Who has the probe has `probe` to
    tell of it."""

    failures: int
    first: timedelta
    longest: timedelta
    jitter: float
    probe: timedelta


def state(health: EndpointHealth | None, now: datetime) -> State:
    """Return whether the endpoint may be called at this moment."""
    if health is None or health.retry_at is None:
        return State.CLOSED
    return State.OPEN if now < health.retry_at else State.DUE


def sign(answer: Answer) -> Sign:
    """Return what an answer tells, which is the endpoint's own: see `Answer.as_it_says`."""
    if answer.result is Result.TRANSIENT:
        return Sign.FAILING if answer.called else Sign.NONE
    return Sign.NONE if answer.http_status is None else Sign.ALIVE


def claimed(health: EndpointHealth, rules: Rules, now: datetime) -> EndpointHealth:
    """The health while somebody has the probe: the others wait for what it tells."""
    return health.model_copy(update={"retry_at": now + rules.probe})


def failed(
    seen: EndpointHealth | None,
    webhook_id: str,
    answer: Answer,
    rules: Rules,
    *,
    now: datetime,
    chance: float,
    probe: bool,
) -> EndpointHealth:
    """Return the health after a failed call. `chance`, from 0 to 1, picks the jitter."""
    health = _counted(seen, webhook_id, answer, now)
    asked = _asked(answer, rules)
    if health.retry_at is not None and not probe:
        return health
    if health.failures < rules.failures and not health.pauses:
        return health.model_copy(update={"retry_at": now + asked if asked else None})
    pauses = health.pauses + 1
    pause = max(_pause(pauses, rules) * (1 + rules.jitter * chance), asked)
    return health.model_copy(update={"retry_at": now + pause, "pauses": pauses})


def _counted(
    seen: EndpointHealth | None, webhook_id: str, answer: Answer, now: datetime
) -> EndpointHealth:
    error = answer.error or ""
    if seen is None:
        return EndpointHealth(
            webhook_id=webhook_id,
            failing_since=now,
            failures=1,
            last_error=error,
            last_failed_at=now,
        )
    changes = {"failures": seen.failures + 1, "last_error": error, "last_failed_at": now}
    return seen.model_copy(update=changes)


def _asked(answer: Answer, rules: Rules) -> timedelta:
    """What the endpoint asks for by Retry-After, up to the longest pause: it is one mail's word."""
    if answer.http_status not in _ASKED or answer.retry_after is None:
        return timedelta(0)
    return min(answer.retry_after, rules.longest)


def _pause(number: int, rules: Rules) -> timedelta:
    """Return the pause with this number, counted from 1."""
    pause = rules.first
    while number > 1 and pause < rules.longest:
        pause, number = pause * 2, number - 1
    return min(pause, rules.longest)
