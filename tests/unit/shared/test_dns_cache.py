"""The cache of DNS answers: how long it keeps them, and how much memory they take."""

import pytest

from conduit.dns.cache import MAX_TTL, DnsCache

QUESTION = ("example.com", "TXT")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the cache reads; a test sets it."""
    now = [100.0]
    monkeypatch.setattr("conduit.dns.cache.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("records", [(b"v=spf1 -all", b"other"), ()])
def test_an_answer_is_kept_for_its_ttl(clock: list[float], records: tuple[bytes, ...]) -> None:
    cache = DnsCache(10_000)
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, records, 60)
    clock[0] += 59.9
    assert cache.get(QUESTION) == records
    clock[0] += 0.1
    assert cache.get(QUESTION) is None


def test_no_ttl_is_longer_than_the_longest(clock: list[float]) -> None:
    cache = DnsCache(10_000)
    cache.put(QUESTION, (), 2**31 - 1)
    clock[0] += MAX_TTL - 1
    assert cache.get(QUESTION) == ()
    clock[0] += 1
    assert cache.get(QUESTION) is None


def test_what_was_not_asked_for_the_longest_makes_room() -> None:
    cache = DnsCache(3_000)
    for name in "ab":
        cache.put((name, "TXT"), (b"x" * 1_000,), 60)
    assert cache.get(("a", "TXT")) is not None
    cache.put(("c", "TXT"), (b"x" * 1_000,), 60)
    assert cache.get(("b", "TXT")) is None
    assert cache.get(("a", "TXT")) is not None
    assert cache.get(("c", "TXT")) is not None


def test_an_answer_larger_than_the_cache_is_not_kept() -> None:
    cache = DnsCache(3_000)
    cache.put(QUESTION, (b"x" * 4_000,), 60)
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, (b"x" * 1_000,), 60)
    assert cache.get(QUESTION) == (b"x" * 1_000,)


def test_a_new_answer_takes_the_place_of_the_old_one() -> None:
    cache = DnsCache(3_000)
    for _ in range(100):
        cache.put(QUESTION, (b"x" * 1_000,), 60)
    cache.put(("other", "A"), ("192.0.2.1",), 60)
    assert cache.get(QUESTION) is not None
    assert cache.get(("other", "A")) == ("192.0.2.1",)


def test_a_flood_of_answers_takes_no_more_memory() -> None:
    cache = DnsCache(100_000)
    for number in range(10_000):
        cache.put((f"host{number}.example.com", "A"), (), 60)
    assert len(cache._answers) < 100_000 / 300
