"""The exchange of AUTH (RFC 4954 §4) for the mechanisms PLAIN (RFC 4616) and LOGIN: pure decoding.

Nothing is looked up here: an exchange ends in a claim, which is verified elsewhere, or refused.
"""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from conduit.security.smtp_passwords import octets_of
from conduit_smtp_ingest import replies
from conduit_smtp_ingest.replies import Reply

MECHANISMS = ("PLAIN", "LOGIN")
"""What EHLO offers inside TLS."""

LONGEST_LINE = 12_288
"""Octets of a line of an exchange with its end, the AUTH command included (RFC 4954 §4)."""

_CANCEL = b"*"
_EMPTY_INITIAL = b"="


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says to be, and the password to prove it."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange has ended without a claim."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client is to answer `reply` with one more line."""

    reply: Reply
    read: "Callable[[bytes], Step]" = field(repr=False)

    def answer(self, line: bytes) -> "Step":
        """Go on with the client's line, without its line end."""
        return Refused(replies.AUTH_CANCELLED) if line == _CANCEL else _decoded(line, self.read)


Step = Challenge | Claim | Refused


def start(mechanism: str, initial: str | None) -> Step:
    """Begin an exchange with the arguments of AUTH.

    `initial` is the initial response, None without one. It is optional; a client that sends it
    saves a round trip, with LOGIN too, where clients do so although no document describes it.
    """
    challenge = _FIRST.get(mechanism.upper()) if mechanism.isascii() else None
    if challenge is None:
        return Refused(replies.UNKNOWN_MECHANISM if mechanism else replies.NEEDS_MECHANISM)
    if initial is None:
        return challenge
    line = initial.encode(errors="surrogateescape")
    return _decoded(b"" if line == _EMPTY_INITIAL else line, challenge.read)


def _decoded(line: bytes, read: Callable[[bytes], Step]) -> Step:
    if len(line) > LONGEST_LINE - len(b"\r\n"):
        return Refused(replies.AUTH_LINE_TOO_LONG)
    octets = _from_base64(line)
    return Refused(replies.AUTH_NOT_BASE64) if octets is None else read(octets)


def _from_base64(line: bytes) -> bytes | None:
    """Decode strictly: one text for the same octets, nothing skipped (RFC 4648 §3.3, §3.5)."""
    try:
        octets = binascii.a2b_base64(line)
    except binascii.Error:
        return None
    return octets if binascii.b2a_base64(octets, newline=False) == line else None


def _plain(message: bytes) -> Step:
    """RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. Nobody may act for somebody else."""
    parts = [_text(part) for part in message.split(b"\0")]
    match parts:
        case [str(other), str(username), str(password)] if username and password:
            if other and octets_of(other) != octets_of(username):
                return Refused(replies.BAD_CREDENTIALS)
            return Claim(username, password)
        case _:
            return Refused(replies.AUTH_MALFORMED)


def _login_username(octets: bytes) -> Step:
    username = _text(octets)
    if not username:
        return Refused(replies.AUTH_MALFORMED)
    return Challenge(replies.AUTH_PASSWORD, partial(_login_password, username))


def _login_password(username: str, octets: bytes) -> Step:
    password = _text(octets)
    return Claim(username, password) if password else Refused(replies.AUTH_MALFORMED)


def _text(octets: bytes) -> str | None:
    """Return UTF-8 without NUL as text, None for anything else."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


_FIRST: Mapping[str, Challenge] = {
    "PLAIN": Challenge(replies.AUTH_CONTINUE, _plain),
    "LOGIN": Challenge(replies.AUTH_USERNAME, _login_username),
}
