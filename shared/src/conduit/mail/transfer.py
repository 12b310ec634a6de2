"""Content-Transfer-Encoding undone (RFC 2045 §6), also where it is broken."""

from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp
from dataclasses import dataclass

_NOT_IN_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)
_IDENTITY = frozenset(["", "7bit", "8bit", "binary"])


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
        return Decoded(a2b_qp(octets))
    if encoding in _IDENTITY:
        return Decoded(octets)
    return Decoded(octets, f"transfer encoding {encoding[:40]!a} is not known, left as it is")


def _undo_base64(raw: bytes, start: int, end: int) -> Decoded:
    view = memoryview(raw)[start:end]  # attachments are large: no copy before the decoding
    try:
        octets = a2b_base64(view)
    except Base64Error:
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
        garbled=not _is_mostly(digits, encoded),
    )


def _is_mostly(digits: bytes, encoded: bytes) -> bool:
    blanks = _blanks(encoded, 0, len(encoded)) + encoded.count(b"=")
    return len(encoded) - blanks <= len(digits) + 1


def _blanks(raw: bytes, start: int, end: int) -> int:
    return sum(raw.count(blank, start, end) for blank in (b"\n", b"\r", b" ", b"\t"))
