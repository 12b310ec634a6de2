"""Passwords of SMTP clients: bcrypt, since their owners bring hashes from elsewhere.

The cost is bounded: every attempt to authenticate takes as long as the hash asks for, and at 12
that is a quarter of a second of one core already.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from unicodedata import normalize

import bcrypt

T = TypeVar("T")

LONGEST = 72
"""Octets of the longest password; bcrypt reads no more."""

COSTS = range(4, 13)
"""Costs (binary logarithm of the rounds) of hashes that are taken."""

OWN_COST = 10
"""Cost of the hashes that are made here."""

# 128 bits of salt, so that of its last character's bits four are zero, and 184 of the hash.
_HASH = re.compile(
    r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII
)

_NOBODYS = f"$2b${OWN_COST}$" + "." * 53  # in the form of a hash; no password is known to give it


def cost_of(text: str) -> int | None:
    """Return the cost of a bcrypt hash, None when this is not one."""
    match = _HASH.fullmatch(text)
    return int(match["cost"]) if match else None


def octets_of(password: str) -> bytes:
    """Return what is hashed; keyboards compose accents differently (RFC 8265 §4.2.2)."""
    return normalize("NFC", password).encode()


class SmtpPasswordHasher:
    """Hashes and verifies passwords off the event loop, one at a time.

    A request may bring many, and whoever leaves must not make room for one more: a computation that
    has begun cannot be stopped, so that a thread of its own does all of them in their order.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")

    async def hash(self, password: str) -> str:
        """Return the bcrypt hash of a password of at most LONGEST octets."""
        salt = bcrypt.gensalt(OWN_COST)
        return (await self._computed(bcrypt.hashpw, octets_of(password), salt)).decode()

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password is right, which one with a NUL or of more octets never is.

        It takes the time that the hash asks for. None, for a user who is not there, and what is no
        hash take as long as a hash of our own.
        """
        octets = octets_of(password)
        possible = len(octets) <= LONGEST and b"\0" not in octets
        if hashed is None or cost_of(hashed) is None:
            hashed, possible = _NOBODYS, False
        right = await self._computed(bcrypt.checkpw, octets if possible else b"", hashed.encode())
        return right and possible

    async def _computed(
        self, function: Callable[[bytes, bytes], T], password: bytes, salt: bytes
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, password, salt)
