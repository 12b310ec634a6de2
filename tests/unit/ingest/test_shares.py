"""How much of a webhook's mail stands in the common queue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK
from conduit_smtp_ingest.shares import Shares

AT_ONCE, PER_SECOND = 5, 2.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bucket:
    """A share as one would explain it: tokens, of which each mail takes one."""

    def __init__(self) -> None:
        self._tokens = float(AT_ONCE)
        self._at = 1000.0

    def lane(self, now: float) -> str:
        self._tokens = min(AT_ONCE, self._tokens + (now - self._at) * PER_SECOND)
        self._at = now
        if self._tokens < 1 - 1e-3:
            return DELIVERIES_BULK
        self._tokens -= 1
        return DELIVERIES


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shares_of(clock: Clock, remembered: int = 1000) -> Shares:
    return Shares(AT_ONCE, PER_SECOND, remembered=remembered, clock=clock)


def hurried(shares: Shares, webhook_id: str, mails: int) -> int:
    """Send mails at one moment; return how many of them stand in the common queue."""
    lanes = [shares.lane(webhook_id) for _ in range(mails)]
    first = lanes.count(DELIVERIES)
    assert lanes == [DELIVERIES] * first + [DELIVERIES_BULK] * (mails - first)
    return first


@pytest.mark.parametrize(
    ("sent", "waited", "again"),
    [
        (4, 0, 1),
        (5, 0, 0),
        (100, 0, 0),
        (100, 0.4, 0),
        (100, 0.5, 1),
        (100, 1.0, 2),
        (100, 2.5, 5),
        (100, 3600, 5),
        (2, 0.5, 4),
        (0, 3600, 5),
    ],
)
def test_a_share_is_used_up_and_fills_again(
    clock: Clock, sent: int, waited: float, again: int
) -> None:
    shares = shares_of(clock)
    assert hurried(shares, "wh_1", sent) == min(sent, AT_ONCE)
    clock.now += waited
    assert hurried(shares, "wh_1", 100) == again


def test_each_webhook_has_its_own(clock: Clock) -> None:
    shares = shares_of(clock)
    assert hurried(shares, "wh_1", 100) == AT_ONCE
    assert hurried(shares, "wh_2", 100) == AT_ONCE


@given(
    st.lists(st.tuples(st.sampled_from(["wh_1", "wh_2"]), st.integers(0, 40)), max_size=200),
)
def test_it_is_a_bucket_of_tokens_whatever_is_forgotten(
    mails: list[tuple[str, int]],
) -> None:
    clock, buckets = Clock(), {"wh_1": Bucket(), "wh_2": Bucket()}
    shares = shares_of(clock)
    for webhook_id, eighths in mails:
        clock.now += eighths / 8
        assert shares.lane(webhook_id) == buckets[webhook_id].lane(clock.now)


def test_no_more_webhooks_are_remembered_than_that(clock: Clock) -> None:
    shares = shares_of(clock, remembered=10)
    for number in range(1000):
        assert shares.lane(f"wh_{number}") == DELIVERIES
    assert len(shares._full_at) + len(shares._earlier) <= 2 * 10
    assert hurried(shares, "wh_999", 100) == AT_ONCE - 1


def test_what_is_full_again_is_not_remembered(clock: Clock) -> None:
    shares = shares_of(clock)
    for number in range(100):
        shares.lane(f"wh_{number}")
    for _ in range(2):
        clock.now += AT_ONCE / PER_SECOND
        shares.lane("wh_other")
    assert set(shares._full_at) | set(shares._earlier) == {"wh_other"}
