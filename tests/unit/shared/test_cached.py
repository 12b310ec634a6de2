"""The cache before a collection."""

import asyncio

import pytest

from conduit.store.cached import Cached


class Lookups:
    """Answers `<key><number of the look-up>`, when the test lets it."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, key: str) -> str:
        self.keys.append(key)
        answer = f"{key}{len(self.keys)}"
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return answer


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the cache reads; a test sets it."""
    now = [100.0]
    monkeypatch.setattr("conduit.store.cached.time.monotonic", lambda: now[0])
    return now


async def test_an_answer_is_kept_for_its_seconds(lookups: Lookups, clock: list[float]) -> None:
    cached = Cached(lookups, seconds=3, size=10)
    assert await cached.get("a") == "a1"
    clock[0] += 2.9
    assert await cached.get("a") == "a1"
    clock[0] += 0.1
    assert await cached.get("a") == "a2"


async def test_look_ups_at_a_time_share_one_answer(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=3, size=10)
    assert await asyncio.gather(*(cached.get("a") for _ in range(100))) == ["a1"] * 100
    assert await asyncio.gather(*map(cached.get, "ab")) == ["a1", "b2"]


async def test_a_slow_look_up_is_shared_for_as_long_as_it_takes(
    lookups: Lookups, clock: list[float]
) -> None:
    cached = Cached(lookups, seconds=3, size=10)
    lookups.open.clear()
    first = asyncio.ensure_future(cached.get("a"))
    await asyncio.sleep(0)
    clock[0] += 10
    second = asyncio.ensure_future(cached.get("a"))
    await asyncio.sleep(0)
    lookups.open.set()
    assert (await first, await second) == ("a1", "a1")
    # It tells of the moment at which it began, so it is old by now.
    assert await cached.get("a") == "a2"


async def test_a_failed_look_up_fails_for_all_who_wait_and_is_not_kept(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=3, size=10)
    lookups.failure = RuntimeError("away")
    results = await asyncio.gather(*(cached.get("a") for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["away"] * 3
    assert len(lookups.keys) == 1
    lookups.failure = None
    assert await cached.get("a") == "a2"


async def test_an_absent_answer_is_kept_too() -> None:
    asked: list[str] = []

    async def nothing(key: str) -> None:
        asked.append(key)

    cached = Cached(nothing, seconds=3, size=10)
    await cached.get("a")
    await cached.get("a")
    assert asked == ["a"]


async def test_who_gives_up_does_not_take_the_answer_from_others(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=3, size=10)
    lookups.open.clear()
    impatient = asyncio.ensure_future(cached.get("a"))
    await asyncio.sleep(0)
    patient = asyncio.ensure_future(cached.get("a"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    lookups.open.set()
    assert await patient == "a1"


async def test_only_so_many_answers_are_kept(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=60, size=3)
    for key in "abcd":
        await cached.get(key)
    assert len(cached._answers) == 3
    assert await cached.get("b") == "b2"
    assert await cached.get("a") == "a5"
    for number in range(1_000):
        await cached.get(f"unknown {number}")
    assert len(cached._answers) == 3


async def test_a_flood_of_unknown_keys_does_not_drive_out_what_is_in_use(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=60, size=3)
    for number in range(1_000):
        assert await cached.get("busy") == "busy1"
        await cached.get(f"unknown {number}")
    assert lookups.keys.count("busy") == 1


async def test_look_ups_that_have_begun_are_not_waited_for_one_by_one(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=60, size=3)
    for key in "aba":
        cached.begin(key)
    await asyncio.sleep(0)
    assert lookups.keys == ["a", "b"]
    assert [await cached.get(key) for key in "ab"] == ["a1", "b2"]


async def test_a_begun_look_up_that_fails_is_not_kept(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=60, size=3)
    lookups.failure = RuntimeError("away")
    cached.begin("a")
    with pytest.raises(RuntimeError):
        await cached.get("a")
    lookups.failure = None
    assert await cached.get("a") == "a2"


async def test_a_forgotten_answer_is_looked_up_again(lookups: Lookups) -> None:
    cached = Cached(lookups, seconds=60, size=3)
    await cached.get("a")
    cached.forget("a")
    cached.forget("never seen")
    assert await cached.get("a") == "a2"


async def test_a_look_up_that_fails_late_leaves_a_newer_answer(lookups: Lookups) -> None:
    failing: list[asyncio.Future[str]] = []

    async def look_up(key: str) -> str:
        if not failing:
            failing.append(asyncio.get_running_loop().create_future())
            return await failing[0]
        return await lookups(key)

    cached = Cached(look_up, seconds=60, size=3)
    late = asyncio.ensure_future(cached.get("a"))
    await asyncio.sleep(0)
    cached.forget("a")
    assert await cached.get("a") == "a1"
    failing[0].set_exception(RuntimeError("away"))
    with pytest.raises(RuntimeError):
        await late
    assert await cached.get("a") == "a1"


async def renewed(cached: Cached[str, str]) -> None:
    """Let the loop go round until no renewal is under way; its clock stands still here."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not cached._renewals


async def test_what_is_in_use_is_renewed_before_it_ends_and_nobody_waits(
    lookups: Lookups, clock: list[float]
) -> None:
    cached = Cached(lookups, seconds=4, size=10, renew=True)
    assert await cached.get("a") == "a1"
    clock[0] += 1.9
    assert await cached.get("a") == "a1"
    assert lookups.keys == ["a"]
    clock[0] += 0.2
    lookups.open.clear()
    for _ in range(3):
        assert await cached.get("a") == "a1"
        await asyncio.sleep(0)
    assert lookups.keys == ["a", "a"]
    lookups.open.set()
    await renewed(cached)
    assert await cached.get("a") == "a2"
    clock[0] += 1.9  # its time is counted from the beginning of its look-up
    assert await cached.get("a") == "a2"
    assert lookups.keys == ["a", "a"]


async def test_a_renewal_that_fails_is_told_when_the_answer_ends(
    lookups: Lookups, clock: list[float]
) -> None:
    cached = Cached(lookups, seconds=4, size=10, renew=True)
    assert await cached.get("a") == "a1"
    lookups.failure = ZeroDivisionError()
    clock[0] += 3
    assert await cached.get("a") == "a1"
    await renewed(cached)
    assert await cached.get("a") == "a1"
    await renewed(cached)
    clock[0] += 1
    with pytest.raises(ZeroDivisionError):
        await cached.get("a")
    assert lookups.keys == ["a"] * 4


async def test_what_is_forgotten_is_not_brought_back_by_its_renewal(
    lookups: Lookups, clock: list[float]
) -> None:
    cached = Cached(lookups, seconds=4, size=10, renew=True)
    assert await cached.get("a") == "a1"
    clock[0] += 3
    lookups.open.clear()
    assert await cached.get("a") == "a1"
    await asyncio.sleep(0)
    cached.forget("a")
    lookups.open.set()
    await renewed(cached)
    assert await cached.get("a") == "a3"
