"""The text of trace fields: folded, and with what a client chose made harmless.

Nothing that comes in here can end a line, a comment or a quoted string, nor begin an encoded word
(RFC 2047), which some read in places where it has no meaning.
"""

import re
from collections.abc import Iterable, Sequence

MAX_LINE = 78  # characters where folding can do it, RFC 5322 §2.1.1
MAX_VALUE = 255  # octets, what a domain may have; keeps each line far below the 998 of §2.1.1

_TOKEN = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"  # noqa: S105 (RFC 2045 §5.1)
_BARE = re.compile(rf"{_TOKEN}(?:@[A-Za-z0-9.\-]+)?")
_SPECIAL = re.compile(r"([()\\])")
_QUOTE = re.compile(r'(["\\])')


def folded(name: str, clauses: Iterable[Sequence[str]]) -> bytes:
    """Return a field with its CRLF; each clause begins a line, and goes on in others if it must."""
    lines = [f"{name}:"]
    for number, clause in enumerate(clauses):
        start = number > 0
        for word in clause:
            if start or len(lines[-1]) + len(word) >= MAX_LINE:
                lines.append(f"\t{word}")
            else:
                lines[-1] += f" {word}"
            start = False
    return "".join([f"{line}\r\n" for line in lines]).encode()


def comment(text: str) -> str:
    """Return a comment (RFC 5322 §3.2.2) in ASCII, of a text that is cut when it is long."""
    plain = _printable(text[:MAX_VALUE]).encode("ascii", "replace").decode()
    return f"({_without_words(_SPECIAL.sub(_escaped, plain))})"


def value(text: str) -> str:
    """Return a value of a property (RFC 8601 §2.2): as it is, or as a quoted string."""
    return text if _BARE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """Return a quoted string (RFC 5322 §3.2.4, with the UTF-8 of RFC 6532 §3.2)."""
    return f'"{_without_words(_QUOTE.sub(_escaped, _printable(text)))}"'


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join([c if c.isprintable() else "?" for c in text])


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}"


def _without_words(text: str) -> str:
    """Break up what would be an encoded word; a quoted pair stands for its character."""
    return text.replace("=?", "=\\?")
