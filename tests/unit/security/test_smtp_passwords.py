"""Passwords of SMTP clients."""

import asyncio
import threading
from unicodedata import normalize

import bcrypt
import pytest

from conduit.security.smtp_passwords import (
    COSTS,
    LONGEST,
    OWN_COST,
    SmtpPasswordHasher,
    cost_of,
    octets_of,
)


async def test_a_password_becomes_a_bcrypt_hash() -> None:
    hashed = await SmtpPasswordHasher().hash("correct horse")
    assert cost_of(hashed) in COSTS
    assert bcrypt.checkpw(b"correct horse", hashed.encode())
    assert not bcrypt.checkpw(b"correct horsf", hashed.encode())


async def test_the_longest_password_counts_to_its_end() -> None:
    hashed = await SmtpPasswordHasher().hash("x" * LONGEST)
    assert not bcrypt.checkpw(b"x" * (LONGEST - 1) + b"y", hashed.encode())


async def test_each_hash_has_a_salt_of_its_own() -> None:
    hasher = SmtpPasswordHasher()
    one, other = await asyncio.gather(hasher.hash("password"), hasher.hash("password"))
    assert one != other


def test_accents_may_be_composed_either_way() -> None:
    assert octets_of("zürich") == octets_of(normalize("NFD", "zürich"))


def test_what_is_no_hash_has_no_cost() -> None:
    assert cost_of("") is None
    assert cost_of("$2b$10$short") is None


def hash_of(password: bytes, *, prefix: bytes = b"2b") -> str:
    """Return a hash that was made elsewhere, cheaply."""
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).replace(b"2b", prefix, 1).decode()


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
async def test_a_password_is_verified_with_hashes_of_all_makers(prefix: bytes) -> None:
    hasher, hashed = SmtpPasswordHasher(), hash_of(b"correct horse", prefix=prefix)
    assert await hasher.verify(hashed, "correct horse")
    assert not await hasher.verify(hashed, "correct horsf")
    assert not await hasher.verify(hashed, "")


async def test_a_password_of_our_own_hash_is_verified() -> None:
    hasher = SmtpPasswordHasher()
    hashed = await hasher.hash(normalize("NFC", "zürich"))
    assert await hasher.verify(hashed, normalize("NFD", "zürich"))


async def test_octets_beyond_what_bcrypt_reads_are_never_right() -> None:
    hasher, hashed = SmtpPasswordHasher(), hash_of(b"x" * LONGEST)
    assert await hasher.verify(hashed, "x" * LONGEST)
    assert not await hasher.verify(hashed, "x" * (LONGEST + 1))
    assert not await hasher.verify(hash_of(b""), "x" * (LONGEST + 1))


async def test_a_nul_is_never_right() -> None:
    hasher = SmtpPasswordHasher()
    assert not await hasher.verify(hash_of(b"a"), "a\0b")
    assert not await hasher.verify(hash_of(b"a\0b"), "a\0b")
    assert not await hasher.verify(hash_of(b""), "\0")


class Compared:
    """Stands in for bcrypt, counts the comparisons, and lets a test hold them up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0
        self.begun = threading.Event()
        self.open = threading.Event()
        self.open.set()
        monkeypatch.setattr("conduit.security.smtp_passwords.bcrypt.checkpw", self)

    def __call__(self, _password: bytes, hashed: bytes) -> bool:
        self.hashes.append(hashed)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        self.open.wait(10)
        self.at_once -= 1
        return True


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    return Compared(monkeypatch)


async def test_what_cannot_be_right_costs_what_the_hash_asks_for(compared: Compared) -> None:
    hasher, hashed = SmtpPasswordHasher(), hash_of(b"")
    for password in ("x" * (LONGEST + 1), "\0"):
        assert not await hasher.verify(hashed, password)
    assert compared.hashes == [hashed.encode()] * 2


@pytest.mark.parametrize("hashed", [None, "", "secret", "$2b$10$short"])
async def test_nobody_costs_what_a_hash_of_our_own_asks_for(
    compared: Compared, hashed: str | None
) -> None:
    assert not await SmtpPasswordHasher().verify(hashed, "password")
    [nobodys] = compared.hashes
    assert cost_of(nobodys.decode()) == OWN_COST


async def test_nobodys_hash_can_be_compared_with() -> None:
    assert not await SmtpPasswordHasher().verify(None, "password")


async def test_who_leaves_makes_no_room_for_one_more_at_a_time(compared: Compared) -> None:
    hasher = SmtpPasswordHasher()
    compared.open.clear()
    leaving = asyncio.ensure_future(hasher.verify(None, "a"))
    assert await asyncio.to_thread(compared.begun.wait, 10)
    waiting = [asyncio.ensure_future(hasher.verify(None, "a")) for _ in range(5)]
    leaving.cancel()
    waiting[0].cancel()
    await asyncio.wait([leaving, waiting[0]])
    compared.open.set()
    await asyncio.gather(*waiting[1:])
    assert compared.most_at_once == 1
    assert len(compared.hashes) == 5, "who left while waiting costs nothing"
