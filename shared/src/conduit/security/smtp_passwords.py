"""Passwords of SMTP clients: bcrypt, since their owners bring hashes from elsewhere.

The cost is bounded: every attempt to authenticate takes as long as the hash asks for, and at 12
that is a quarter of a second of one core already.
"""

import asyncio
import re
from unicodedata import normalize

import bcrypt

LONGEST = 72
"""Octets of the longest password; bcrypt reads no more."""

COSTS = range(4, 13)
"""Costs (binary logarithm of the rounds) of hashes that are taken."""

_OWN_COST = 10

# 128 bits of salt, so that of its last character's bits four are zero, and 184 of the hash.
_HASH = re.compile(
    r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII
)


def cost_of(text: str) -> int | None:
    """Return the cost of a bcrypt hash, None when this is not one."""
    match = _HASH.fullmatch(text)
    return int(match["cost"]) if match else None


def octets_of(password: str) -> bytes:
    """Return what is hashed; keyboards compose accents differently (RFC 8265 §4.2.2)."""
    return normalize("NFC", password).encode()


class SmtpPasswordHasher:
    """Hashes passwords off the event loop, one at a time: a request may bring many."""

    def __init__(self) -> None:
        self._slot = asyncio.Semaphore(1)

    async def hash(self, password: str) -> str:
        """Return the bcrypt hash of a password of at most LONGEST octets."""
        async with self._slot:
            salt = bcrypt.gensalt(_OWN_COST)
            return (await asyncio.to_thread(bcrypt.hashpw, octets_of(password), salt)).decode()
