"""Two-factor authentication: time-based codes (RFC 6238), and backup codes for a lost device."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hmac import digest

import pyotp
from pyotp.exceptions import OTPVerificationError

from conduit.model.account import Totp

ISSUER = "Conduit"
"""What an authenticator app shows beside the account's e-mail address."""

BACKUP_CODES = 8
"""How many are given out at a time."""

_WINDOW = 1  # steps of 30 s that a clock may be off, either way
_CODE = re.compile(r"[0-9]{6}")
_GROUP = 5  # characters on each side of the hyphen
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_READ_AS = str.maketrans("ILO", "110", "- ")
_BACKUP_CODE = re.compile(rf"[{_ALPHABET}]{{{2 * _GROUP}}}")


def new_secret() -> str:
    """Return a secret of 160 random bits in base32, as apps take it."""
    return pyotp.random_base32()


def otpauth_url(secret: str, email: str) -> str:
    """Return what the QR code says."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def timecode_of(code: str, secret: str, now: datetime, *, after: int) -> int | None:
    """Return the time step of a code that is right now, or None.

    A step that is not later than `after`, that of the last code taken, is over (RFC 6238 §5.2).
    """
    text = code.replace(" ", "")
    if not _CODE.fullmatch(text):
        return None
    try:
        step = pyotp.TOTP(secret).verify_and_get_timecode(text, for_time=now, valid_window=_WINDOW)
    except OTPVerificationError:
        return None
    return step if step > after else None


def new_backup_codes() -> tuple[str, ...]:
    """Return new codes of the form `XXXXX-XXXXX`, each of 50 random bits."""
    return tuple(f"{_group()}-{_group()}" for _ in range(BACKUP_CODES))


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP))


def backup_hashes(codes: Sequence[str], secret: str) -> tuple[str, ...]:
    """Return what is kept of backup codes."""
    return tuple(filter(None, (backup_hash(code, secret) for code in codes)))


def backup_hash(code: str, secret: str) -> str | None:
    """Return what is kept of a backup code, or None when the text has not the form of one.

    The key is the account's secret. Short as the codes are, without it they cannot be searched
    for; and whoever could open the secret has no need of them.
    """
    text = code.upper().translate(_READ_AS)
    if not _BACKUP_CODE.fullmatch(text):
        return None
    return digest(secret.encode(), f"conduit backup code {text}".encode(), "sha256").hex()


def spent(totp: Totp, code: str, secret: str, now: datetime) -> Totp | None:
    """Return what is left after a code or a backup code was used, or None when it is wrong."""
    step = timecode_of(code, secret, now, after=totp.last_timecode)
    if step is not None:
        return totp.model_copy(update={"last_timecode": step})
    used = backup_hash(code, secret)
    if used is None or used not in totp.backup_hashes:  # keyed, so timing tells nothing
        return None
    left = tuple(kept for kept in totp.backup_hashes if kept != used)
    return totp.model_copy(update={"backup_hashes": left})
