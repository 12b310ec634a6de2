"""The next step after an attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.model.delivery import DeliveryState, Result
from conduit_dispatcher.retry import (
    LONGEST_WAIT,
    Finished,
    GiveUp,
    NextStep,
    Retry,
    RetrySchedule,
    next_step,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = RetrySchedule.of_seconds((10, 60, 300), jitter=0.1)


def after(
    result: Result, number: int = 1, chance: float = 0, retry_after: float | None = None
) -> NextStep:
    asked = None if retry_after is None else timedelta(seconds=retry_after)
    return next_step(result, number, SCHEDULE, now=NOW, chance=chance, retry_after=asked)


def in_seconds(seconds: float) -> Retry:
    return Retry(NOW + timedelta(seconds=seconds))


def test_a_delivered_mail_is_finished() -> None:
    assert after(Result.DELIVERED) == Finished()


@pytest.mark.parametrize(("number", "delay"), [(1, 10), (2, 60), (3, 300)])
def test_each_transient_failure_is_followed_by_the_delay_of_its_number(
    number: int, delay: float
) -> None:
    assert after(Result.TRANSIENT, number) == in_seconds(delay)


def test_the_schedule_ends() -> None:
    assert after(Result.TRANSIENT, 4) == GiveUp()


@pytest.mark.parametrize("number", [1, 4])
def test_a_permanent_failure_ends_it_at_once(number: int) -> None:
    assert after(Result.PERMANENT, number) == GiveUp(switch_off=False)


def test_an_endpoint_that_is_gone_is_switched_off() -> None:
    assert after(Result.GONE) == GiveUp(switch_off=True)


@pytest.mark.parametrize(("retry_after", "delay"), [(5, 10), (30, 30), (10**7, 86_400)])
def test_retry_after_puts_off_within_bounds_and_never_brings_forward(
    retry_after: float, delay: float
) -> None:
    assert after(Result.TRANSIENT, retry_after=retry_after) == in_seconds(delay)


def test_a_mail_that_ran_out_of_tries_leaves_its_webhook_on() -> None:
    assert after(Result.TRANSIENT, 9) == GiveUp(switch_off=False)


@given(
    number=st.integers(1, 3),
    chance=st.floats(0, 1),
    asked=st.none() | st.floats(0, 10**8),
)
def test_every_retry_lies_between_its_delay_and_the_bounds(
    number: int, chance: float, asked: float | None
) -> None:
    step = after(Result.TRANSIENT, number, chance, asked)
    assert isinstance(step, Retry)
    delay = SCHEDULE.delays[number - 1]
    assert delay <= step.at - NOW <= max(delay * 1.1, LONGEST_WAIT)


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (Finished(), DeliveryState.DELIVERED),
        (in_seconds(1), DeliveryState.PENDING),
        (GiveUp(), DeliveryState.FAILED),
    ],
)
def test_each_step_says_where_the_delivery_stands(step: NextStep, state: DeliveryState) -> None:
    assert step.state is state


def test_the_longest_wait_is_a_delay_with_all_its_jitter_or_what_an_endpoint_may_ask_for() -> None:
    assert RetrySchedule.of_seconds((10, 172_800), 0.5).longest_wait == timedelta(days=3)
    assert RetrySchedule.of_seconds((10,), 0.5).longest_wait == LONGEST_WAIT
    assert RetrySchedule.of_seconds((), 0).longest_wait == LONGEST_WAIT
