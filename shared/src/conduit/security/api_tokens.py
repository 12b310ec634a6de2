"""The secrets of API tokens: made here, shown once, and kept as hashes."""

import secrets
from hashlib import sha256

PREFIX = "conduit_"
"""What tells such a token from others, in a header as in a file where it must not be."""

_OCTETS = 32
_HINT = 4  # characters; the rest still has more than 230 bits


def new_api_token() -> str:
    """Return a new secret, of 256 random bits."""
    return f"{PREFIX}{secrets.token_urlsafe(_OCTETS)}"


def hash_of(secret: str) -> str:
    """Return what is kept of a secret; it is random enough that a plain hash will do."""
    return sha256(secret.encode()).hexdigest()


def hint_of(secret: str) -> str:
    """Return the part by which its owner recognises a secret."""
    return secret[-_HINT:]
