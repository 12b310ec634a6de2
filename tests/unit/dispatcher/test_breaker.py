"""When an endpoint that fails is left alone, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.model.delivery import Result
from conduit.model.endpoint_health import EndpointHealth
from conduit_dispatcher.answers import Answer, not_called
from conduit_dispatcher.breaker import Rules, Sign, State, claimed, failed, sign, state

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = Rules(failures=3, first=10 * SECOND, longest=60 * SECOND, jitter=0.1, probe=40 * SECOND)
ERROR = "the endpoint answered 500"


def answered(status: int | None = 500, retry_after: float | None = None) -> Answer:
    asked = None if retry_after is None else timedelta(seconds=retry_after)
    return Answer(Result.TRANSIENT, status, ERROR, 5, retry_after=asked)


def after(
    seen: EndpointHealth | None,
    answer: Answer | None = None,
    now: datetime = NOON,
    chance: float = 0,
    *,
    probe: bool = False,
) -> EndpointHealth:
    return failed(seen, "wh_1", answer or answered(), RULES, now=now, chance=chance, probe=probe)


def times(count: int, **changes: Any) -> EndpointHealth:
    """Return the health after so many failures."""
    health: EndpointHealth | None = None
    for number in range(count):
        health = after(health, now=NOON + number * SECOND, **changes)
    assert health is not None
    return health


def test_an_endpoint_without_a_health_may_be_called() -> None:
    assert state(None, NOON) is State.CLOSED


def test_the_first_failure_is_noted_and_stops_nothing() -> None:
    health = after(None)
    assert health == EndpointHealth(
        webhook_id="wh_1",
        failing_since=NOON,
        failures=1,
        last_error=ERROR,
        last_failed_at=NOON,
    )
    assert state(health, NOON) is State.CLOSED


def test_failures_in_a_row_open_the_breaker() -> None:
    assert times(2).retry_at is None
    health = times(3)
    assert (health.failures, health.failing_since) == (3, NOON)
    assert health.last_failed_at == NOON + 2 * SECOND
    assert health.retry_at == NOON + 12 * SECOND
    assert state(health, NOON + 11 * SECOND) is State.OPEN
    assert state(health, NOON + 12 * SECOND) is State.DUE


def test_a_claimed_probe_has_the_others_wait() -> None:
    due = NOON + 12 * SECOND
    probe = claimed(times(3), RULES, due)
    assert state(probe, due + 39 * SECOND) is State.OPEN
    assert state(probe, due + 40 * SECOND) is State.DUE


def test_pauses_grow_with_each_probe_that_fails_up_to_a_bound() -> None:
    health, now, pauses = times(3), NOON, []
    for _ in range(5):
        now += timedelta(hours=1)
        health = after(claimed(health, RULES, now), now=now, probe=True)
        assert health.retry_at is not None
        pauses.append((health.retry_at - now) / SECOND)
    assert pauses == [20, 40, 60, 60, 60]


def test_jitter_lengthens_a_pause_by_its_share_at_most() -> None:
    health = after(times(2), chance=1)
    assert health.retry_at == NOON + 11 * SECOND


def test_calls_that_began_before_the_pause_count_and_change_no_pause() -> None:
    opened = times(3)
    late = after(opened, now=NOON + 20 * SECOND)
    assert late.failures == 4
    assert (late.retry_at, late.pauses) == (opened.retry_at, opened.pauses)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_holds_for_all_calls_at_once(status: int) -> None:
    health = after(None, answered(status, 7))
    assert health.retry_at == NOON + 7 * SECOND
    assert health.pauses == 0


def test_retry_after_is_bounded_by_the_longest_pause() -> None:
    assert after(None, answered(429, 86_400)).retry_at == NOON + 60 * SECOND


def test_retry_after_of_other_answers_and_of_no_time_is_for_the_one_mail() -> None:
    assert after(None, answered(500, 7)).retry_at is None
    assert after(None, answered(429, 0)).retry_at is None


def test_a_probe_that_fails_before_there_were_enough_failures_lets_calls_go_on() -> None:
    probe = claimed(after(None, answered(429, 7)), RULES, NOON + 7 * SECOND)
    assert after(probe, now=NOON + 8 * SECOND, probe=True).retry_at is None


def test_the_longer_of_pause_and_retry_after_holds() -> None:
    assert after(times(2), answered(503, 5)).retry_at == NOON + 10 * SECOND
    assert after(times(2), answered(503, 15)).retry_at == NOON + 15 * SECOND


def test_a_probe_whose_endpoint_was_cleared_meanwhile_is_a_first_failure() -> None:
    health = after(None, probe=True)
    assert (health.version, health.failures, health.retry_at) == (0, 1, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(Result.DELIVERED, 204, None, 1), Sign.ALIVE),
        (Answer(Result.PERMANENT, 404, ERROR, 1), Sign.ALIVE),
        (Answer(Result.GONE, 410, ERROR, 1), Sign.ALIVE),
        (Answer(Result.TRANSIENT, 503, ERROR, 1), Sign.FAILING),
        (Answer(Result.TRANSIENT, None, "cannot connect", 1), Sign.FAILING),
        (Answer(Result.PERMANENT, None, "only https endpoints are called", 0), Sign.NONE),
        (not_called("payload_template: …"), Sign.NONE),
        (not_called("too late", Result.TRANSIENT), Sign.NONE),
    ],
)
def test_what_a_call_tells_of_its_endpoint(answer: Answer, told: Sign) -> None:
    assert sign(answer) is told


@given(
    failures=st.integers(1, 60),
    chance=st.floats(0, 1),
    asked=st.none() | st.floats(0, 10**9),
    probe=st.booleans(),
)
def test_no_pause_is_ever_longer_than_the_bound_and_its_jitter(
    failures: int, chance: float, asked: float | None, probe: bool
) -> None:
    health: EndpointHealth | None = None
    for _ in range(failures):
        health = after(health, answered(429, asked), chance=chance, probe=probe)
    assert health is not None
    if health.retry_at is not None:
        assert timedelta(0) < health.retry_at - NOON <= RULES.longest * 1.1
