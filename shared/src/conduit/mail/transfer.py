"""Content-Transfer-Encoding undone (RFC 2045 §6), also where it is broken."""

import re
from binascii import Error as BrokenEncoding
from binascii import a2b_base64, a2b_qp, a2b_uu
from dataclasses import dataclass

_NOT_IN_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)
_IDENTITY = frozenset(["", "7bit", "8bit", "binary"])
_UUENCODE = frozenset(["x-uuencode", "uuencode", "x-uue", "uue"])

MAX_UU_LINES = 20_000  # that are not of the usual length: few, unless they are made to cost time

_WORDS = re.compile(rb"\S ++\S")
_PADDED_SOFT_BREAK = re.compile(rb"=[ \t]++(?=\r?\n|\Z)")
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*+\r?\n", re.MULTILINE)
_UU_LINES = re.compile(rb"((?:M[ -`]{60}\r?\n)++)|[^\r\n]++")  # all of usual length, or one
_UU_TO_BASE64 = bytes.maketrans(
    bytes(range(32, 97)), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/A"
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Octets, what was wrong with their encoding, and whether they make no sense because of it."""

    octets: bytes
    problem: str | None = None
    garbled: bool = False


def undo(raw: bytes, start: int, end: int, encoding: str) -> Decoded:
    """Decode `raw` from `start` to `end`."""
    if encoding == "base64":
        return _undo_base64(raw, start, end)
    octets = raw[start:end]
    if encoding == "quoted-printable":
        return Decoded(_undo_quoted_printable(octets))
    if encoding in _UUENCODE:
        return _undo_uuencode(octets)
    if encoding in _IDENTITY:
        return Decoded(octets)
    return Decoded(octets, f"transfer encoding {encoding[:40]!a} is not known, left as it is")


def _undo_quoted_printable(octets: bytes) -> bytes:
    if b"= " in octets or b"=\t" in octets:
        # Blanks at the end of a line were added on the way (RFC 2045 §6.7).
        octets = _PADDED_SOFT_BREAK.sub(b"=", octets)
    return a2b_qp(octets)


def _undo_uuencode(octets: bytes) -> Decoded:
    """Decode the first file (POSIX, `uuencode`); what stands around it is its wrapping."""
    begin = _UU_BEGIN.search(octets)
    if begin is None:
        return Decoded(octets, "uuencoded data without a beginning was left as it is")
    decoded: list[bytes] = []
    for lines in _UU_LINES.finditer(octets, begin.end()):
        if lines[0] == b"end":
            return Decoded(b"".join(decoded))
        try:
            decoded.append(_undo_full_lines(lines[1]) if lines[1] else _undo_line(lines[0]))
        except BrokenEncoding:
            break
        if len(decoded) == MAX_UU_LINES:
            break
    problem = "uuencoded data that is broken or cut off was decoded as far as possible"
    return Decoded(b"".join(decoded), problem)


def _undo_full_lines(lines: bytes) -> bytes:
    """Decode all lines of 45 octets at once, which takes a tenth of the time."""
    digits = lines[1:].replace(b"\r", b"").replace(b"\nM", b"").rstrip(b"\n")
    return a2b_base64(digits.translate(_UU_TO_BASE64))


def _undo_line(line: bytes) -> bytes:
    """Decode the octets that the first character counts; some encoders add a checksum."""
    return a2b_uu(line[: 1 + (((line[0] - 32) & 63) + 2) // 3 * 4])


def _undo_base64(raw: bytes, start: int, end: int) -> Decoded:
    view = memoryview(raw)[start:end]  # attachments are large: no copy before the decoding
    try:
        octets = a2b_base64(view)
    except BrokenEncoding:
        return _undo_cut_base64(raw[start:end])
    data_end = raw.find(b"=", start, end)
    if data_end < 0:
        data_end = end
    if len(octets) != (data_end - start - _blanks(raw, start, data_end)) * 3 // 4:
        return Decoded(octets, "base64 with foreign characters, which were skipped", garbled=True)
    if raw[data_end : min(data_end + 1024, end)].strip(b"= \t\r\n"):
        return Decoded(octets, "what follows the end of base64 data was left out")
    return Decoded(octets)


def _undo_cut_base64(encoded: bytes) -> Decoded:
    """Decode as many octets as are complete (RFC 2045 §6.8 leaves it to us)."""
    digits = encoded.translate(None, _NOT_IN_BASE64)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return Decoded(
        a2b_base64(digits + b"=" * (-len(digits) % 4)),
        "base64 that is broken or cut off was decoded as far as possible",
        garbled=not _is_mostly(digits, encoded) or _WORDS.search(encoded) is not None,
    )


def _is_mostly(digits: bytes, encoded: bytes) -> bool:
    blanks = _blanks(encoded, 0, len(encoded)) + encoded.count(b"=")
    return len(encoded) - blanks <= len(digits) + 1


def _blanks(raw: bytes, start: int, end: int) -> int:
    return sum(raw.count(blank, start, end) for blank in (b"\n", b"\r", b" ", b"\t"))
