"""Tokens of a session: signed access tokens (JWT) and opaque refresh tokens; and tokens that are
used once, such as those in mails."""

import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest

import jwt
from pydantic import SecretBytes

from conduit.errors import ConduitError

ACCESS_LIFETIME = timedelta(minutes=15)

_ALGORITHM = "HS256"
_REQUIRED = ["exp", "iat", "sub", "jti", "sid"]
_CLOCK_SKEW = timedelta(seconds=5)  # between replicas


class InvalidToken(ConduitError):
    """A token is not ours, was altered, or has expired."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says: whose it is and which session it belongs to."""

    account_id: str
    session_id: str


class AccessTokens:
    """Signs and reads access tokens. The first key signs, all verify."""

    def __init__(self, keys: Mapping[str, SecretBytes]) -> None:
        self._keys = {name: key.get_secret_value() for name, key in keys.items()}
        self._current = next(iter(self._keys))

    def issue(self, claims: AccessClaims, now: datetime) -> str:
        """Return a token that is good for ACCESS_LIFETIME."""
        payload = {
            "sub": claims.account_id,
            "sid": claims.session_id,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + ACCESS_LIFETIME,
        }
        key = self._keys[self._current]
        return jwt.encode(payload, key, _ALGORITHM, headers={"kid": self._current})

    def read(self, token: str) -> AccessClaims:
        """Return the claims of a token, or raise InvalidToken."""
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            payload = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                options={"require": _REQUIRED},
                leeway=_CLOCK_SKEW,
            )
        except (jwt.PyJWTError, KeyError) as error:
            raise InvalidToken(type(error).__name__) from None
        return AccessClaims(account_id=payload["sub"], session_id=payload["sid"])


_FAMILY = 16  # octets that name the session
_TURN = 32  # octets that are new at each use


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token. All tokens of one session share `family`; each has its own `turn`.

    Thus one indexed look-up finds the session of a used token too, and its reuse is noticed
    without a list of all tokens ever issued.
    """

    family: bytes
    turn: bytes

    @classmethod
    def new(cls) -> "RefreshToken":
        """Return the first token of a session."""
        return cls(secrets.token_bytes(_FAMILY), secrets.token_bytes(_TURN))

    @classmethod
    def parse(cls, text: str) -> "RefreshToken":
        """Return the token that a client sent, or raise InvalidToken."""
        try:
            octets = b64decode(text, altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidToken("not a refresh token") from None
        if len(octets) != _FAMILY + _TURN:
            raise InvalidToken("not a refresh token")
        return cls(octets[:_FAMILY], octets[_FAMILY:])

    def text(self) -> str:
        """Return the token as clients get it; 48 octets need no padding."""
        return urlsafe_b64encode(self.family + self.turn).decode()

    @property
    def family_hash(self) -> str:
        """What the store keeps of the family."""
        return sha256(self.family).hexdigest()

    @property
    def turn_hash(self) -> str:
        """What the store keeps of the turn."""
        return sha256(self.turn).hexdigest()

    def is_current(self, turn_hash: str) -> bool:
        """Whether this is the token that the session issued last."""
        return compare_digest(self.turn_hash, turn_hash)


class Succession:
    """Which refresh token follows upon which: made from the former one and a key.

    A token that is used twice within moments, because its answer was lost or two requests ran at
    once, thus gets the same successor twice, which nobody without the key can foretell.
    """

    def __init__(self, keys: Mapping[str, SecretBytes]) -> None:
        self._keys = [key.get_secret_value() for key in keys.values()]

    def after(self, token: RefreshToken) -> RefreshToken:
        """Return the token that replaces this one."""
        return _successor(self._keys[0], token)

    def issued_after(self, token: RefreshToken, turn_hash: str) -> RefreshToken | None:
        """Return the successor with this hash, perhaps made with a former key, or None."""
        successors = (_successor(key, token) for key in self._keys)
        return next((after for after in successors if after.is_current(turn_hash)), None)


def _successor(key: bytes, token: RefreshToken) -> RefreshToken:
    text = b"conduit refresh token\0" + token.family + token.turn
    return RefreshToken(token.family, hmac_digest(key, text, "sha256"))


def new_single_use_token() -> str:
    """Return a token of 256 random bits, for a link or a form."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is kept of such a token; it is random enough that a plain hash will do."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()
