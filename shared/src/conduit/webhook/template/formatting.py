"""Values as text (Go: package fmt, print.go and format.go; doc of fmt, "Printing").

`print`, `println` and what an action writes use the verb v; `printf` has them all. What a verb
cannot print gives Go's `%!d(string=hi)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from conduit.webhook.template import numerals
from conduit.webhook.template.errors import Failure
from conduit.webhook.template.escapes import in_pieces
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.octets import joined, octets
from conduit.webhook.template.quoting import can_backquote, code_point, escaped, quote
from conduit.webhook.template.values import (
    Octet,
    is_list,
    is_map,
    is_nil,
    sorted_keys,
    type_name,
)

_INTEGER_VERBS = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_FLOAT_VERBS = {"v": "g", "b": "b", "g": "g", "G": "G", "x": "x", "X": "X"}
_FIXED_FLOAT_VERBS = {"f": "f", "F": "f", "e": "e", "E": "E"}
_PREFIXES = {"b": "0b", "x": "0x", "X": "0X"}
_SHOWN = 200


@dataclass(slots=True)
class Directive:
    """The flags, width and precision of a verb; `sharp_v` is the flag # of %#v."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    sharp_v: bool = False
    width: int | None = None
    precision: int | None = None


_PLAIN = Directive()


def printed(values: Sequence[object], budget: Budget) -> str:
    """Return values as `print` does: with spaces between two that are no strings."""
    printer = Printer(budget)
    after_string = True
    for value in values:
        is_string = isinstance(value, str)
        if not is_string and not after_string:
            printer.write(" ")
        printer.value(value, "v", _PLAIN)
        after_string = is_string
    return printer.text()


def printed_line(values: Sequence[object], budget: Budget) -> str:
    """Return values as `println` does."""
    printer = Printer(budget)
    for number, value in enumerate(values):
        if number:
            printer.write(" ")
        printer.value(value, "v", _PLAIN)
    printer.write("\n")
    return printer.text()


def shown(value: object, budget: Budget, verb: str = "v") -> str:
    """Return the beginning of a value, for messages."""
    printer = Printer(budget)
    printer.value(value[:_SHOWN] if isinstance(value, str) else value, verb, _PLAIN)
    return printer.text()[:_SHOWN]


class Printer:
    """Collects text, and spends what it costs."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pieces: list[str] = []

    def text(self) -> str:
        """Return what was written."""
        return joined("".join(self._pieces))

    def write(self, text: str) -> None:
        """Add text as it is."""
        self._budget.make(len(text))
        self._pieces.append(text)

    def value(self, value: object, verb: str, directive: Directive) -> None:
        """Add a value (Go: printArg)."""
        if is_nil(value):
            self._nil(verb, directive)
        elif verb == "T":
            self._string_as(type_name(value), "s", directive)
        elif verb == "p" and (is_map(value) or is_list(value)):
            raise Failure("%p prints addresses, of which there are none")
        elif verb == "w" and (is_map(value) or is_list(value)):
            self._bad_verb(value, verb, directive)
        else:
            self._value(value, verb, directive, 1)

    def _nil(self, verb: str, directive: Directive) -> None:
        if verb in "Tv":
            self._pad("<nil>", directive)
        else:
            self.write(f"%!{verb}(<nil>)")

    def _value(self, value: object, verb: str, directive: Directive, depth: int) -> None:
        self._budget.step()
        self._budget.check_depth(depth)
        if isinstance(value, str):
            self._string(value, verb, directive)
        elif value is None:
            self.write("interface {}(nil)" if directive.sharp_v else "<nil>")
        elif is_map(value):
            self._map(value, verb, directive, depth)
        elif is_list(value):
            self._list(value, verb, directive, depth)
        else:
            self._scalar(value, verb, directive)

    def _scalar(self, value: object, verb: str, directive: Directive) -> None:
        if isinstance(value, bool):
            if verb in "tv":
                self._pad("true" if value else "false", directive)
            else:
                self._bad_verb(value, verb, directive)
        elif isinstance(value, int):
            self._integer(value, verb, directive)
        elif isinstance(value, float):
            self._float(value, verb, directive)
        elif isinstance(value, complex):
            self._complex(value, verb, directive)
        else:
            type_name(value)  # complains

    def _bad_verb(self, value: object, verb: str, directive: Directive) -> None:
        self.write(f"%!{verb}({type_name(value)}=")
        self._value(value, "v", directive, 1)
        self.write(")")

    def _map(
        self, value: Mapping[str, object], verb: str, directive: Directive, depth: int
    ) -> None:
        sharp = directive.sharp_v
        self.write(f"{type_name(value)}{{" if sharp else "map[")
        for number, key in enumerate(sorted_keys(value)):
            if number:
                self.write(", " if sharp else " ")
            self._value(key, verb, directive, depth + 1)
            self.write(":")
            self._value(value[key], verb, directive, depth + 1)
        self.write("}" if sharp else "]")

    def _list(self, value: Sequence[object], verb: str, directive: Directive, depth: int) -> None:
        sharp = directive.sharp_v
        self.write(f"{type_name(value)}{{" if sharp else "[")
        for number, element in enumerate(value):
            if number:
                self.write(", " if sharp else " ")
            self._value(element, verb, directive, depth + 1)
        self.write("}" if sharp else "]")

    def _string(self, value: str, verb: str, directive: Directive) -> None:
        if verb in "vsqxX":
            self._string_as(value, "q" if verb == "v" and directive.sharp_v else verb, directive)
        else:
            self._bad_verb(value, verb, directive)

    def _string_as(self, value: str, verb: str, directive: Directive) -> None:
        if verb in "xX":
            self._hexadecimal(value, verb, directive)
            return
        if directive.precision is not None:
            value = value[: directive.precision]
        self._pad(self._quoted(value, directive) if verb == "q" else value, directive)

    def _quoted(self, value: str, directive: Directive) -> str:
        """Return a string in quotes (Go: fmtQ)."""
        self._budget.read(len(value))
        if directive.sharp and can_backquote(value):
            return f"`{value}`"
        return f'"{in_pieces(_quote_ascii if directive.plus else _quote, value, self._budget)}"'

    def _hexadecimal(self, value: str, verb: str, directive: Directive) -> None:
        """Add the octets of a string (Go: fmtSbx)."""
        if directive.precision is not None:
            value = value[: directive.precision]
        self._budget.make(2 * len(value))
        raw = octets(value)[: directive.precision]
        digits = raw.hex(" ") if directive.space else raw.hex()
        if directive.sharp and raw:
            digits = f"0x{digits.replace(' ', ' 0x')}"
        self._pad(digits if verb == "x" else digits.upper(), directive)

    def _integer(self, value: int, verb: str, directive: Directive) -> None:
        if verb == "c":
            self._pad(_character(value), directive)
        elif verb == "q":
            self._pad(_quoted_character(value, directive), directive)
        elif verb == "U":
            self._pad(_unicode(value, directive), directive, zero=False)
        elif verb not in _INTEGER_VERBS:
            self._bad_verb(value, verb, directive)
        elif verb == "v" and directive.sharp_v and isinstance(value, Octet):
            self._pad(_integer(value, "x", directive, sharp=True), directive, zero=False)
        else:
            text = _integer(value, verb, directive, sharp=directive.sharp)
            self._pad(text, directive, zero=False)

    def _float(self, value: float, verb: str, directive: Directive) -> None:
        if verb not in _FLOAT_VERBS and verb not in _FIXED_FLOAT_VERBS:
            self._bad_verb(value, verb, directive)
            return
        text = _float(value, verb, directive)
        if text[-1] in "fN":  # Inf and NaN
            self._pad(text, directive, zero=False)
        elif text[0] in "+- " and directive.zero and not directive.minus:
            self.write(text[0])
            self._pad(text[1:], directive, taken=1)
        else:
            self._pad(text, directive)

    def _complex(self, value: complex, verb: str, directive: Directive) -> None:
        if verb not in _FLOAT_VERBS and verb not in _FIXED_FLOAT_VERBS:
            self._bad_verb(value, verb, directive)
            return
        self.write("(")
        self._float(value.real, verb, directive)
        self._float(value.imag, verb, replace(directive, plus=True))
        self.write("i)")

    def _pad(self, text: str, directive: Directive, *, zero: bool = True, taken: int = 0) -> None:
        """Add text with what its width needs beside it (Go: pad)."""
        missing = (directive.width or 0) - taken - len(text)
        if missing <= 0:
            self.write(text)
        elif directive.minus:
            self.write(text + " " * missing)
        else:
            self.write(("0" if directive.zero and zero else " ") * missing + text)


def _quote(text: str) -> tuple[str, int]:
    return escaped(text)


def _quote_ascii(text: str) -> tuple[str, int]:
    return escaped(text, ascii_only=True)


def _character(code: int) -> str:
    valid = 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return chr(code) if valid else "\ufffd"


def _quoted_character(code: int, directive: Directive) -> str:
    return quote(_character(code), ascii_only=directive.plus, mark="'")


def _unicode(code: int, directive: Directive) -> str:
    """Return U+0078, and with # the character, too (Go: fmtUnicode)."""
    code &= (1 << 64) - 1
    text = code_point(code, digits=max(directive.precision or 0, 4))
    if directive.sharp and code <= 0x10FFFF and chr(code).isprintable():
        return f"{text} '{chr(code)}'"
    return text


def _integer(value: int, verb: str, directive: Directive, *, sharp: bool) -> str:
    """Return a whole number without padding, but with the zeros before it (Go: fmtInteger)."""
    if directive.precision == 0 and value == 0:
        return ""
    base = _INTEGER_VERBS[verb]
    sign = "-" if value < 0 else "+" if directive.plus else " " if directive.space else ""
    digits = directive.precision or 0
    if directive.precision is None and directive.zero and not directive.minus:
        digits = (directive.width or 0) - len(sign)
    text = numerals.integer(value, base, digits)
    if sharp and base == "o" and not text.startswith("0"):
        text = f"0{text}"
    prefix = _PREFIXES.get(base, "") if sharp else ""
    return f"{sign}{'0o' if verb == 'O' else ''}{prefix}{text}"


def _float(value: float, verb: str, directive: Directive) -> str:
    """Return a float without padding (Go: fmtFloat)."""
    precision = directive.precision
    if verb in _FIXED_FLOAT_VERBS:
        verb, precision = _FIXED_FLOAT_VERBS[verb], 6 if precision is None else precision
    else:
        verb = _FLOAT_VERBS[verb]
    text = numerals.floating(value, verb, precision)
    sign, unsigned = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
    if directive.sharp and verb != "b" and unsigned[0].isdigit():
        unsigned = _with_point(unsigned, verb, precision)
    if sign == "+" and not directive.plus:
        sign = " " if directive.space else "+" if unsigned == "Inf" else ""
    return f"{sign}{unsigned}"


def _with_point(text: str, verb: str, precision: int | None) -> str:
    """Return a float with the decimal point and the zeros that the flag # keeps."""
    mark = "p" if verb in "xX" else "e"
    at = text.lower().find(mark)
    number, tail = (text[:at], text[at:]) if at >= 0 else (text, "")
    digits = (6 if precision is None else precision) if verb in "gGx" else 0
    significant = number.replace(".", "").lstrip("0")
    digits -= len(significant)
    if "." not in number:
        digits -= number == "0"
        number += "."
    return f"{number}{'0' * digits}{tail}"
