"""Numeric constants (Go: text/template/parse.NumberNode; spec "Integer literals" and on).

A constant has the type that its form suggests: int, float64, or complex128.
"""

import math
import re

_DIGITS = r"[0-9](?:_?[0-9])*+"
_HEX_DIGITS = r"[0-9a-fA-F](?:_?[0-9a-fA-F])*+"
_WHOLE = re.compile(
    rf"""[+-]?(?:
      0[xX]_?{_HEX_DIGITS} | 0[oO](?:_?[0-7])++ | 0[bB](?:_?[01])++
    | 0(?:_?[0-7])*+ | [1-9](?:_?[0-9])*+
    )""",
    re.VERBOSE,
)
_FLOAT = re.compile(
    rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?+)?+|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?"
)
_HEX_FLOAT = re.compile(
    rf"""[+-]?0[xX]
    (?:_?{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?+)?+ | \.{_HEX_DIGITS})
    [pP][+-]?{_DIGITS}""",
    re.VERBOSE,
)
_HEX_WHOLE = re.compile(r"0[xX][^pP]")
_OCTAL = re.compile(r"([+-]?)0([0-7_]+)")
_PART = r"""(?:
      0[xX][0-9a-fA-F_]*+(?:\.[0-9a-fA-F_]*+)?+(?:[pP][+-]?[0-9_]*+)?+
    | [0-9_]*+(?:\.[0-9_]*+)?+(?:[eE][+-]?[0-9_]*+)?+
    )"""
_COMPLEX = re.compile(rf"([+-]?{_PART})([+-]{_PART})i", re.VERBOSE)
_LONGEST = 1_000  # digits; Python refuses to read decimal numbers of more than 4,300


class NotANumber(ValueError):
    """Go cannot read this number; the text says why, in Go's words."""


def read_number(text: str) -> int | float | complex | None:
    """Return the value of a constant, or None if it overflows an int."""
    if text.endswith("i") and (imaginary := _float(text[:-1])) is not None:
        return complex(0, imaginary)
    whole = _whole(text)
    if whole is None:
        return _checked_float(text)
    if not _HEX_WHOLE.match(text) and any(mark in text for mark in ".eEpP"):
        return float(whole)  # -0xe is a float in Go, as it only looks for an e
    return whole if whole < 1 << 63 else None


def read_complex(text: str) -> complex:
    """Return the value of `1+2i`."""
    parts = _COMPLEX.fullmatch(text)
    real, imaginary = (_float(parts[1]), _float(parts[2])) if parts else (None, None)
    if real is None or imaginary is None:
        raise NotANumber("syntax error scanning complex number")
    return complex(real, imaginary)


def _checked_float(text: str) -> float:
    value = _float(text)
    if value is None:
        raise NotANumber(f'illegal number syntax: "{text}"')
    if not any(mark in text for mark in ".eEpP"):
        raise NotANumber(f'integer overflow: "{text}"')
    return value


def _whole(text: str) -> int | None:
    """Return what fits into 64 bits (Go: strconv.ParseInt, or ParseUint, with base 0)."""
    if len(text) > _LONGEST or not _WHOLE.fullmatch(text):
        return None
    octal = _OCTAL.fullmatch(text)
    value = int(f"{octal[1]}0o{octal[2]}" if octal else text, 0)
    largest = (1 << 63) - 1 if text[0] in "+-" else (1 << 64) - 1
    return value if -(1 << 63) <= value <= largest else None


def _float(text: str) -> float | None:
    """Return a finite number (Go: strconv.ParseFloat)."""
    try:
        if _FLOAT.fullmatch(text):
            value = float(text)
        elif _HEX_FLOAT.fullmatch(text):
            value = float.fromhex(text.replace("_", ""))
        else:
            return None
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
