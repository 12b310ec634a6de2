"""Passwords of SMTP clients."""

import asyncio
from unicodedata import normalize

import bcrypt

from conduit.security.smtp_passwords import COSTS, LONGEST, SmtpPasswordHasher, cost_of, octets_of


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
