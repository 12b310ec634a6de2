"""Passwords are hashed with Argon2id, and unknown accounts take as long as known ones."""

import time
from statistics import median

import pytest

from conduit.security.passwords import LONGEST, PasswordHasher

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher()


async def test_a_password_is_verified_against_its_hash(hasher: PasswordHasher) -> None:
    hashed = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, hashed)
    assert not await hasher.verify(PASSWORD + "!", hashed)


async def test_the_hash_tells_algorithm_and_cost_and_not_the_password(
    hasher: PasswordHasher,
) -> None:
    hashed = await hasher.hash(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in hashed
    assert hashed != await hasher.hash(PASSWORD)


async def test_accents_may_be_composed_either_way(hasher: PasswordHasher) -> None:
    hashed = await hasher.hash("cafe\u0301 au lait, grand")
    assert await hasher.verify("caf\u00e9 au lait, grand", hashed)


async def test_the_longest_password_counts_to_its_end(hasher: PasswordHasher) -> None:
    longest = "\U0001f40e" * LONGEST
    hashed = await hasher.hash(longest)
    assert await hasher.verify(longest, hashed)
    assert not await hasher.verify(longest[:-1] + "x", hashed)


@pytest.mark.parametrize("password", ["", "x" * (LONGEST + 1), "x" * 1_000_000, "nul\0nul\0nul\0"])
async def test_what_nobody_can_have_is_wrong_and_no_fault(
    hasher: PasswordHasher, password: str
) -> None:
    assert not await hasher.verify(password, await hasher.hash(PASSWORD))


async def test_nobody_has_any_password(hasher: PasswordHasher) -> None:
    assert not await hasher.verify(PASSWORD, None)


async def test_unknown_accounts_take_as_long_as_known_ones(hasher: PasswordHasher) -> None:
    hashed = await hasher.hash(PASSWORD)

    async def seconds(against: str | None) -> float:
        begun = time.perf_counter()
        await hasher.verify("another password", against)
        return time.perf_counter() - begun

    pairs = [(await seconds(hashed), await seconds(None)) for _ in range(7)]
    known, unknown = (median(column) for column in zip(*pairs, strict=True))
    assert unknown > known / 2
