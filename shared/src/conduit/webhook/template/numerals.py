"""Numbers as text (Go: strconv.AppendFloat, fmt/format.go; doc of fmt, "Floating-point").

Functions here know nothing of width; `formatting` pads.
"""

import math
import struct

_MANTISSA_BITS = 52
_BIAS = 1023
_SHORTEST_EXPONENT = 6


def integer(value: int, base: str, digits: int = 0) -> str:
    """Return the digits of a number without sign, at least so many. `base`: b, o, d, x or X."""
    return format(abs(value), base).rjust(digits, "0")


def floating(value: float, verb: str, precision: int | None) -> str:
    """Return a float as the verb e, E, f, g, G, b, x or X has it; None is the shortest exact one.

    A sign is there only when it is a minus, except for `+Inf`.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+}".title()
    if verb == "b":
        return _binary(value)
    if verb in "xX":
        return _hexadecimal(value, verb, precision)
    if precision is None:
        return _shortest(value, verb)
    return format(value, f".{precision}{verb}")


def shortest_decimal(value: float) -> str:
    """Return a float as JSON has it: as JavaScript does (Go: encoding/json, floatEncoder)."""
    digits, exponent = _digits(value)
    if value and not 1e-6 <= abs(value) < 1e21:
        return f"{_sign(value)}{_scientific(digits, exponent, 'e', 1)}"
    return f"{_sign(value)}{_plain(digits, exponent)}"


def _shortest(value: float, verb: str) -> str:
    digits, exponent = _digits(value)
    if not -4 <= exponent < _SHORTEST_EXPONENT:
        return f"{_sign(value)}{_scientific(digits, exponent, 'E' if verb == 'G' else 'e', 2)}"
    return f"{_sign(value)}{_plain(digits, exponent)}"


def _digits(value: float) -> tuple[str, int]:
    """Return the shortest digits that give a number, and the exponent of the first one."""
    mantissa, _, scale = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(scale or 0) + len(digits) - len(fraction) - 1
    return (digits.rstrip("0"), exponent) if digits else ("0", 0)


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return f"0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def _scientific(digits: str, exponent: int, mark: str, width: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{mark}{'-' if exponent < 0 else '+'}{abs(exponent):0{width}d}"


def _binary(value: float) -> str:
    """Return mantissa and exponent of the representation: 4503599627370496p-52."""
    bits = int.from_bytes(struct.pack(">d", abs(value)))
    exponent, mantissa = bits >> _MANTISSA_BITS, bits & ((1 << _MANTISSA_BITS) - 1)
    if exponent:
        mantissa |= 1 << _MANTISSA_BITS
    scale = max(exponent, 1) - _BIAS - _MANTISSA_BITS
    return f"{_sign(value)}{mantissa}p{scale:+d}"


def _hexadecimal(value: float, verb: str, precision: int | None) -> str:
    """Return 0x1.8p+01; the first digit is 1 unless the value is zero (Go: strconv, fmtX)."""
    fraction, exponent = math.frexp(abs(value))
    mantissa, exponent = int(fraction * (1 << 61)), exponent - 1 if value else 0
    if precision is not None and precision < 15:
        mantissa = _rounded(mantissa, 60 - 4 * precision)
    if mantissa >> 61:
        mantissa, exponent = mantissa >> 1, exponent + 1
    digits = f"{mantissa & ((1 << 60) - 1):015x}"
    digits = digits.rstrip("0") if precision is None else digits[:precision].ljust(precision, "0")
    point = "." if digits else ""
    text = f"0x{mantissa >> 60}{point}{digits}p{exponent:+03d}"
    return f"{_sign(value)}{text.upper() if verb == 'X' else text}"


def _rounded(mantissa: int, bits: int) -> int:
    """Round to a multiple of a power of two, halves to even."""
    kept, rest = mantissa >> bits, mantissa & ((1 << bits) - 1)
    if 2 * rest + (kept & 1) > 1 << bits:
        kept += 1
    return kept << bits


def _sign(value: float) -> str:
    return "-" if math.copysign(1, value) < 0 else ""
