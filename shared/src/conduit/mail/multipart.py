"""Bodies of several parts, split at their boundary (RFC 2046 §5.1.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CANDIDATES = (
    2_000  # lines that begin as a delimiter; parts are fewer, and the rest is an attack
)

_NOT_BLANK = re.compile(rb"\S")


@dataclass(frozen=True, slots=True)
class Split:
    """Where each part starts and ends, and what was wrong, if anything. None: not a multipart."""

    parts: list[tuple[int, int]] | None
    problem: str | None = None


def split(raw: bytes, start: int, end: int, boundary: bytes, limit: int) -> Split:
    """Find the parts of the body from `start` to `end`, `limit` of them at most."""
    if not boundary:
        return Split(None, "a multipart body that names no boundary was taken as text")
    parts: list[tuple[int, int]] = []
    problem: str | None = None
    part_start: int | None = None  # None: within what is not shown, such as the preamble
    ended = False
    first, last = end, start  # where the first delimiter begins, and the last one ends
    for before, after, is_end in _delimiters(raw, start, end, b"\n--" + boundary):
        first, last = min(first, before), after
        if part_start is not None:
            parts.append((part_start, max(part_start, before)))
        part_start = None if is_end else after
        if not is_end and len(parts) == limit:
            return Split(parts, "parts beyond the limit were left out")
        if not is_end and ended:
            # Some programs give one boundary to a multipart and to the multipart within it.
            problem = "parts after the end of a multipart body were taken too"
        ended = ended or is_end
    if part_start is not None:
        parts.append((part_start, end))
        return Split(parts, "a multipart body has no end")
    if not ended:
        return Split(None, "a multipart body without its boundary was taken as text")
    epilogue = _says_something(raw, last, end)
    if not parts and (epilogue or _says_something(raw, start, first)):
        return Split(None, "a multipart body without parts was taken as text")
    if epilogue:
        problem = problem or "what follows the end of a multipart body was left out"
    return Split(parts, problem)


def _says_something(raw: bytes, start: int, end: int) -> bool:
    return _NOT_BLANK.search(raw, start, end) is not None


def _delimiters(
    raw: bytes, start: int, end: int, delimiter: bytes
) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter begins and ends, line ends included, and whether it is the last.

    The line end before a delimiter is its own, and so is that of the header before a body.
    """
    position = max(start - 1, 0)
    for _ in range(MAX_CANDIDATES):
        found = raw.find(delimiter, position, end)
        if found < 0:
            return
        tail_start = found + len(delimiter)
        line_end = raw.find(b"\n", tail_start, end)
        position = end if line_end < 0 else line_end
        tail = raw[tail_start:position].strip()
        if tail in {b"", b"--"}:
            before = found - 1 if raw[found - 1 : found] == b"\r" else found
            yield before, min(position + 1, end), tail == b"--"
