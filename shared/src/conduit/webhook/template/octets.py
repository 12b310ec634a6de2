"""Strings as Go has them: octets that are UTF-8 in most cases.

A Python string holds them; an octet that belongs to no character is a lone surrogate from U+DC80
to U+DCFF, as in Python's `surrogateescape`. Such come from escapes (`"\\xff"`) and from slices that
cut a character.
"""

import re

_STRAY = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def octets(text: str) -> bytes:
    """Return what Go sees."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates are no text
        return _SURROGATE.sub("\ufffd", text).encode()


def text_of(raw: bytes) -> str:
    """Return octets as a string."""
    return raw.decode("utf-8", "surrogateescape")


def joined(text: str) -> str:
    """Return a text made of pieces; stray octets that make up a character together become it."""
    return text if text.isascii() or not _STRAY.search(text) else text_of(octets(text))


def valid(text: str) -> str:
    """Return a text without stray octets: U+FFFD in the place of each."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", joined(text))


def length(text: str) -> int:
    """Return how many octets a text has."""
    return len(text) if text.isascii() else len(octets(text))
