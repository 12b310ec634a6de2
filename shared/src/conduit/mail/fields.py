"""The header section of a mail, or of one of its parts, as fields (RFC 5322 §2.2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_FIELDS = 1_000  # real mails have some dozens, and a mail loop is ended at 100 hops
MAX_SECTION = 1 << 20  # octets; large providers refuse mails with half of it

OWN_FIELDS = 2  # that we put on top, the trace of RFC 5321 §4.4 and our results
_OWN_SECTION = 1 << 16  # octets that they take at most

# Possessive, so that no octets of a sender's choice make it go back and look again.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?+")
_BEGINNING = re.compile(rb"[!-9;-~]++[ \t]*+:")

Field = tuple[bytes, bytes]
"""A name and its value, still folded and encoded."""


@dataclass(frozen=True, slots=True)
class Section:
    """The fields, where the body starts, and what was wrong with the section, if anything."""

    fields: Sequence[Field]
    body: int
    problem: str | None = None


def read_section(raw: bytes, start: int, end: int, *, kept: bool = False) -> Section:
    """Split the header section that starts at `start` of the octets up to `end`.

    `kept`: it is that of a mail as we keep it. What we have put on top takes no field's place.
    """
    start = after_mbox_line(raw, start, end)
    last, body = blank_line(raw, start, end)
    limit = min(last, start + MAX_SECTION + _OWN_SECTION * kept)
    most = MAX_FIELDS + OWN_FIELDS * kept
    fields: list[Field] = []
    while start < limit and len(fields) < most:
        match = _FIELD.match(raw, start, limit)
        if match is None:
            # The way of Postfix: what cannot be a header field is the first line of the body.
            return Section(fields, start, "the header section ended without an empty line")
        start = match.end()
        if start == limit < last:
            break
        fields.append((match[1], match[2]))
    if start < last:
        return Section(fields, body, "header fields beyond the limits were left out")
    return Section(fields, body)


def after_mbox_line(raw: bytes, start: int, end: int) -> int:
    """Skip the `From ` line that programs which keep mail in mbox files put before the header."""
    if not raw.startswith(b"From ", start, end):
        return start
    next_line = raw.find(b"\n", start, end) + 1
    return next_line if next_line and _FIELD.match(raw, next_line, end) else start


def begins_header(raw: bytes, start: int) -> bool:
    """Tell whether a field stands at `start`, or the line that ends a header section."""
    if raw.startswith((b"\n", b"\r\n"), start):
        return True
    return _BEGINNING.match(raw, start, start + MAX_SECTION) is not None


def blank_line(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where the line before the first empty line ends, and where the one after starts."""
    if raw.startswith(b"\n", start, end):
        return start, start + 1
    if raw.startswith(b"\r\n", start, end):
        return start, start + 2
    crlf = raw.find(b"\n\r\n", start, end)
    lf = raw.find(b"\n\n", start, end if crlf < 0 else crlf + 1)
    if lf >= 0:
        return lf + 1, lf + 2
    return (crlf + 1, crlf + 3) if crlf >= 0 else (end, end)
