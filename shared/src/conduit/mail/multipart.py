"""Bodies of several parts, split at their boundary (RFC 2046 §5.1.1)."""

from dataclasses import dataclass

MAX_CANDIDATES = (
    2_000  # lines that begin as a delimiter; parts are fewer, and the rest is an attack
)


@dataclass(frozen=True, slots=True)
class Split:
    """Where each part starts and ends, and what was wrong, if anything. None: not a multipart."""

    parts: list[tuple[int, int]] | None
    problem: str | None = None


def split(raw: bytes, start: int, end: int, boundary: bytes, limit: int) -> Split:
    """Find the parts of the body from `start` to `end`, `limit` of them at most."""
    if not boundary:
        return Split(None, "a multipart body that names no boundary was taken as text")
    delimiter = b"\n--" + boundary
    parts: list[tuple[int, int]] = []
    part_start = -1  # within the preamble, which is not shown
    position = max(start - 1, 0)  # the line end before the body is the first delimiter's own
    for _ in range(MAX_CANDIDATES):
        found = raw.find(delimiter, position, end)
        if found < 0:
            break
        tail_start = found + len(delimiter)
        line_end = raw.find(b"\n", tail_start, end)
        position = end if line_end < 0 else line_end
        tail = raw[tail_start:position].strip()
        if tail not in (b"", b"--"):
            continue
        if part_start >= 0:
            parts.append((part_start, max(part_start, _before_line_end(raw, found))))
        if tail:
            return Split(parts)
        if len(parts) == limit:
            return Split(parts, "parts beyond the limit were left out")
        part_start = min(position + 1, end)
    if part_start < 0:
        return Split(None, "a multipart body without its boundary was taken as text")
    parts.append((part_start, end))
    return Split(parts, "a multipart body has no end")


def _before_line_end(raw: bytes, newline: int) -> int:
    """The line end before a delimiter belongs to the delimiter."""
    return newline - 1 if raw[newline - 1 : newline] == b"\r" else newline
