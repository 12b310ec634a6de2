"""Passwords of accounts: Argon2id, computed off the event loop and few at a time.

The cost is what OWASP's password storage cheat sheet asks for: 19 MiB, two passes, one lane.
"""

import asyncio
import secrets
from unicodedata import normalize

from passlib.hash import argon2

LONGEST = 1024
"""Characters of the longest password: room for any pass phrase, and none for a flood."""

_ARGON2ID = argon2.using(  # type: ignore[no-untyped-call]
    type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1
)

# Each computation takes 19 MiB and one core; more at once would only starve the other requests.
_AT_ONCE = 2


class PasswordHasher:
    """Hashes and verifies passwords."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobodys_hash: str = _ARGON2ID.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Return the hash to keep, its parameters and salt included."""
        async with self._slots:
            return await asyncio.to_thread(_ARGON2ID.hash, _normal(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password is right; `None`, for an account that is not there, takes as long.

        Otherwise the time of the answer would tell which accounts exist.
        """
        if len(password) > LONGEST:  # nobody's
            password, hashed = "", None
        async with self._slots:
            right: bool = await asyncio.to_thread(
                _ARGON2ID.verify, _normal(password), hashed or self._nobodys_hash
            )
        return right and hashed is not None


def _normal(password: str) -> str:
    """Keyboards and systems compose accents differently (RFC 8265 §4.2.2)."""
    return normalize("NFC", password)
