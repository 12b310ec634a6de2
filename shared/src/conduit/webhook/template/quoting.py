"""Quoted strings and characters in Go's syntax (Go: strconv.Quote; spec "String literals").

Printable is what Go's `unicode.IsPrint` says, which is what Python's `str.isprintable` says.
"""

import re

from conduit.webhook.template.octets import octets, text_of

_ESCAPE = re.compile(
    r"""\\(?: x([0-9a-fA-F]{2}) | u([0-9a-fA-F]{4}) | U([0-9a-fA-F]{8}) | ([0-7]{3}) | (.) )""",
    re.VERBOSE,
)
_LETTERS = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
}
_NAMES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}
_SPECIAL = {mark: re.compile(rf"[^ -~]+|[\\{mark}]") for mark in "\"'"}
_NOT_IN_BACKQUOTES = re.compile("[\x00-\x08\x0a-\x1f`\x7f\ufeff\udc80-\udcff]")


class InvalidSyntax(ValueError):
    """Not a literal of Go."""

    def __str__(self) -> str:
        return "invalid syntax"


def unquote(literal: str) -> str:
    """Return what a string literal stands for: in double quotes, or in backquotes."""
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    return text_of(_unescaped(body, '"')) if "\\" in body else body


def unquote_character(literal: str) -> int:
    """Return the number of a character literal's character, or of its one octet."""
    body = literal[1:-1]
    escape = _ESCAPE.match(body) if body.startswith("\\") else None
    if escape is None:
        if not body or body[0] == "\\":
            raise InvalidSyntax
        code, end = ord(body[0]), 1
    else:
        raw, end = _octets_of(escape, "'"), escape.end()
        code = raw[0] if escape[1] or escape[4] else ord(raw.decode())
    if end != len(body):
        raise ValueError(f"malformed character constant: {literal}")
    return code


def _unescaped(body: str, mark: str) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while (start := body.find("\\", position)) >= 0:
        escape = _ESCAPE.match(body, start)
        if escape is None:
            raise InvalidSyntax
        pieces += (octets(body[position:start]), _octets_of(escape, mark))
        position = escape.end()
    return b"".join((*pieces, octets(body[position:])))


def _octets_of(escape: re.Match[str], mark: str) -> bytes:
    octet, short, long, octal, letter = escape.groups()
    if letter is not None:
        if letter != mark and letter not in _LETTERS:
            raise InvalidSyntax
        return _LETTERS.get(letter, mark.encode())
    if octet or octal:
        value = int(octet, 16) if octet else int(octal, 8)
        if value > 0xFF:
            raise InvalidSyntax
        return bytes([value])
    value = int(short or long, 16)
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise InvalidSyntax
    return chr(value).encode()


def quote(text: str, *, ascii_only: bool = False, mark: str = '"') -> str:
    """Return a text as a literal; stray octets are `\\x` escapes."""
    return f"{mark}{escaped(text, ascii_only=ascii_only, mark=mark)[0]}{mark}"


def escaped(text: str, *, ascii_only: bool = False, mark: str = '"') -> tuple[str, int]:
    """Return what stands between the quotes of a literal, and how much there was to look at."""

    def change(match: re.Match[str]) -> str:
        run = match[0]
        if run == mark:
            return f"\\{mark}"
        if not ascii_only and run != "\\" and run.isprintable():
            return run
        return "".join(_escape(character, ascii_only=ascii_only) for character in run)

    return _SPECIAL[mark].subn(change, text)


def _escape(character: str, *, ascii_only: bool) -> str:
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if not ascii_only and character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def can_backquote(text: str) -> bool:
    """Tell whether a text can stand in backquotes as it is (Go: strconv.CanBackquote)."""
    return not _NOT_IN_BACKQUOTES.search(text)


def code_point(code: int, *, digits: int = 4) -> str:
    """Return a character's number as `U+0078`."""
    return f"U+{code:0{digits}X}"
