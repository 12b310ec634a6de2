"""Limits hold per key, give back over time, and bound their own memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_api.errors import TooManyRequests
from conduit_api.throttle import Attempts, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(throttle: Throttle, key: str, tries: int) -> int:
    return sum(throttle.wait(key) == 0 for _ in range(tries))


def test_the_limit_is_let_through_at_once(clock: Clock) -> None:
    throttle = Throttle(5, 60, clock=clock)
    assert admitted(throttle, "a", 20) == 5


def test_the_wait_that_is_told_is_enough(clock: Clock) -> None:
    throttle = Throttle(5, 60, clock=clock)
    admitted(throttle, "a", 5)
    wait = throttle.wait("a")
    assert wait == pytest.approx(12)
    clock.now += wait
    assert admitted(throttle, "a", 3) == 1


def test_after_the_window_all_of_the_limit_is_back(clock: Clock) -> None:
    throttle = Throttle(5, 60, clock=clock)
    admitted(throttle, "a", 50)
    clock.now += 60
    assert admitted(throttle, "a", 50) == 5


def test_keys_do_not_share_a_limit(clock: Clock) -> None:
    throttle = Throttle(1, 60, clock=clock)
    assert admitted(throttle, "a", 2) == 1
    assert admitted(throttle, "b", 2) == 1


def test_the_key_seen_longest_ago_is_forgotten_first(clock: Clock) -> None:
    throttle = Throttle(1, 60, clock=clock, capacity=2)
    assert [throttle.wait(key) for key in "abc"] == [0, 0, 0]
    assert throttle.wait("c") > 0
    assert throttle.wait("b") > 0
    assert throttle.wait("a") == 0


@given(limit=st.integers(1, 50), gaps=st.lists(st.floats(0, 30), max_size=200))
def test_no_window_lets_more_than_twice_the_limit_through(limit: int, gaps: list[float]) -> None:
    clock, window = Clock(), 60.0
    throttle = Throttle(limit, window, clock=clock)
    passed: list[float] = []
    for gap in gaps:
        clock.now += gap
        if throttle.wait("a") == 0:
            passed.append(clock.now)
    for begin in passed:
        assert sum(begin <= moment < begin + window for moment in passed) <= 2 * limit


def test_a_refused_address_does_not_use_up_the_account(clock: Clock) -> None:
    attempts = Attempts(Throttle(2, 60, clock=clock), Throttle(3, 60, clock=clock))
    for _ in range(2):
        attempts.admit("192.0.2.1", "user@example.com")
    for _ in range(100):
        with pytest.raises(TooManyRequests):
            attempts.admit("192.0.2.1", "user@example.com")
    attempts.admit("192.0.2.2", "user@example.com")


def test_the_account_is_limited_over_all_addresses(clock: Clock) -> None:
    attempts = Attempts(Throttle(2, 60, clock=clock), Throttle(3, 60, clock=clock))
    for last in range(3):
        attempts.admit(f"192.0.2.{last}", "user@example.com")
    with pytest.raises(TooManyRequests) as refusal:
        attempts.admit("192.0.2.9", "user@example.com")
    assert refusal.value.headers["Retry-After"] == "20"
