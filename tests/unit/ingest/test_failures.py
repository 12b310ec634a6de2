"""Failed authentications of an address over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_smtp_ingest.failures import AuthFailures

LIMIT, WINDOW = 3, 900.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> AuthFailures:
    return AuthFailures(LIMIT, WINDOW, 4, clock=clock)


def fail(failures: AuthFailures, ip: str, times: int = LIMIT) -> None:
    for _ in range(times):
        failures.failed(ip)


def test_an_address_is_blocked_at_its_limit(failures: AuthFailures) -> None:
    assert not failures.blocked("192.0.2.1")
    fail(failures, "192.0.2.1", LIMIT - 1)
    assert not failures.blocked("192.0.2.1")
    fail(failures, "192.0.2.1", 1)
    assert failures.blocked("192.0.2.1")


def test_another_address_is_not(failures: AuthFailures) -> None:
    fail(failures, "192.0.2.1")
    assert not failures.blocked("192.0.2.2")


def test_to_ask_is_no_failure(failures: AuthFailures) -> None:
    assert not any(failures.blocked("192.0.2.1") for _ in range(10))


def test_it_is_let_in_again_when_its_window_ends(failures: AuthFailures, clock: Clock) -> None:
    fail(failures, "192.0.2.1", 1)
    clock.now += WINDOW - 1
    fail(failures, "192.0.2.1", LIMIT)
    assert failures.blocked("192.0.2.1")
    clock.now += 1
    assert not failures.blocked("192.0.2.1")
    fail(failures, "192.0.2.1", LIMIT - 1)
    assert not failures.blocked("192.0.2.1")


def test_failures_of_a_window_that_has_ended_do_not_count(
    failures: AuthFailures, clock: Clock
) -> None:
    fail(failures, "192.0.2.1", LIMIT - 1)
    clock.now += WINDOW
    fail(failures, "192.0.2.1", LIMIT - 1)
    assert not failures.blocked("192.0.2.1")


def test_failures_while_blocked_do_not_lengthen_the_window(
    failures: AuthFailures, clock: Clock
) -> None:
    fail(failures, "192.0.2.1")
    clock.now += WINDOW - 1
    fail(failures, "192.0.2.1", 100)
    clock.now += 1
    assert not failures.blocked("192.0.2.1")


@pytest.mark.parametrize("same", ["2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff"])
def test_an_ipv6_network_of_64_bits_counts_as_one(failures: AuthFailures, same: str) -> None:
    fail(failures, "2001:db8::1")
    assert failures.blocked(same)
    assert not failures.blocked("2001:db8:0:1::1")


def test_an_ipv4_address_counts_as_one_however_it_is_written(failures: AuthFailures) -> None:
    fail(failures, "192.0.2.1")
    assert failures.blocked("::ffff:192.0.2.1")
    assert not failures.blocked("::ffff:192.0.2.2")


def test_a_socket_without_an_address_is_counted_too(failures: AuthFailures) -> None:
    fail(failures, "")
    assert failures.blocked("")
    assert not failures.blocked("192.0.2.1")


def test_beyond_its_size_the_window_that_ends_first_is_forgotten(
    failures: AuthFailures, clock: Clock
) -> None:
    addresses = [f"192.0.2.{number}" for number in range(5)]
    for address in addresses[:4]:
        fail(failures, address)
        clock.now += 1
    fail(failures, addresses[0])  # makes it no younger
    fail(failures, addresses[4])
    assert [failures.blocked(address) for address in addresses] == [False, True, True, True, True]


@given(st.lists(st.ip_addresses().map(str), min_size=20, max_size=100))
def test_memory_is_bounded(addresses: list[str]) -> None:
    failures = AuthFailures(LIMIT, WINDOW, 10, clock=Clock())
    for address in addresses:
        failures.failed(address)
        assert len(failures._windows) <= 10
