"""The forms in which mails are hashed (RFC 6376 §3.4), made in time linear to their size.

A line ends in CRLF or LF, as it does for whoever reads the mail later: what one of the two takes
for two fields must not be one field to the other. Bodies are worked on in chunks, so that a large
mail is not copied, and each hash lets the event loop's thread run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from conduit.mail.fields import Field

_CHUNK = 1 << 16
_NEWLINES = b"\r\n" * (_CHUNK >> 1)


def canonical_field(field: Field, *, relaxed: bool) -> bytes:
    """Return a header field without its last CRLF."""
    name, value = field
    lines = value.removesuffix(b"\r").replace(b"\r\n", b"\n")
    if relaxed:
        return name.lower() + b":" + _one_space(lines.replace(b"\n", b"")).strip(b" ")
    return name + b":" + lines.replace(b"\n", b"\r\n")


def canonical_body(raw: bytes, start: int, *, relaxed: bool) -> Iterator[bytes]:
    """Yield the body that starts there in pieces of some 64 KiB."""
    newlines = 0  # those at the end of what was read: they count only when something follows
    rest = b""  # what cannot be told yet: a space or a CR before the end of the chunk
    ended = not relaxed  # whether the body ends in CRLF: an empty one does in the simple form only
    for position in range(start, len(raw), _CHUNK):
        lines, rest = _lines(rest + raw[position : position + _CHUNK], relaxed=relaxed)
        text = lines.rstrip(b"\n")
        if text:
            yield from _empty_lines(newlines)
            yield text.replace(b"\n", b"\r\n")
            newlines, ended = 0, True
        newlines += len(lines) - len(text)
    if relaxed:
        rest = rest.removesuffix(b" ")
    if rest:
        yield from _empty_lines(newlines)
        yield rest
        ended = True
    if ended:
        yield b"\r\n"


@dataclass(frozen=True, slots=True)
class BodyHash:
    """The SHA-256 of a body in `length` octets, and of its beginnings of the asked lengths.

    Beginnings that are longer than the body are left out.
    """

    length: int
    digest: bytes
    beginnings: dict[int, bytes]


def hash_body(pieces: Iterable[bytes], lengths: Iterable[int] = ()) -> BodyHash:
    """Hash a body once, whatever the number of beginnings."""
    running, length = sha256(), 0
    waiting = sorted(set(lengths), reverse=True)
    beginnings: dict[int, bytes] = {}
    for piece in pieces:
        while waiting and waiting[-1] < length + len(piece):
            beginning = running.copy()
            beginning.update(piece[: waiting[-1] - length])
            beginnings[waiting.pop()] = beginning.digest()
        running.update(piece)
        length += len(piece)
    digest = running.digest()
    if waiting and waiting[-1] == length:
        beginnings[length] = digest
    return BodyHash(length, digest, beginnings)


def _lines(octets: bytes, *, relaxed: bool) -> tuple[bytes, bytes]:
    """Return lines that end in LF, and the octets at the end that depend on what follows them."""
    text = octets.removesuffix(b"\r")
    rest = octets[len(text) :]
    text = text.replace(b"\r\n", b"\n")
    if not relaxed:
        return text, rest
    text = _one_space(text).replace(b" \n", b"\n")
    if text.endswith(b" "):
        return text[:-1], b" " + rest
    return text, rest


def _one_space(octets: bytes) -> bytes:
    """Make each run of white space one space.

    Each round halves the runs. A regular expression would make an object of every run.
    """
    octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets


def _empty_lines(count: int) -> Iterator[bytes]:
    for start in range(0, 2 * count, _CHUNK):
        yield _NEWLINES[: 2 * count - start]
