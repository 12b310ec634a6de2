"""printf (Go: fmt/print.go, doPrintf; doc of fmt, "Printing" and "Explicit argument indexes")."""

import re
from collections.abc import Sequence

from conduit.webhook.template.formatting import Directive, Printer
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.values import is_nil, type_name

_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
_LARGEST = 1_000_000  # what Go takes for a width, a precision or an index


_STEPS_OF_DIRECTIVE = 3
_ANY_FLAGS = re.compile(r"[#0+\- ]*")
_DIGITS = re.compile(r"[0-9]*")


def printf(template: str, values: Sequence[object], budget: Budget) -> str:
    """Return values in the form that a format string asks for."""
    return _Printf(template, values, budget).text()


class _Printf:
    """One pass over a format string. `_at` is the place in it, `_argument` the next value's."""

    def __init__(self, template: str, values: Sequence[object], budget: Budget) -> None:
        self._format = template
        self._values = values
        self._budget = budget
        self._printer = Printer(budget)
        self._at = 0
        self._argument = 0
        self._reordered = False
        self._good_index = True
        self._after_index = False
        self._last_bracket = template.rfind("]")

    def text(self) -> str:
        while (percent := self._format.find("%", self._at)) >= 0:
            self._budget.step(_STEPS_OF_DIRECTIVE)
            self._copy(percent)
            self._at = percent + 1
            self._directive()
        self._copy(len(self._format))
        if not self._reordered and self._argument < len(self._values):
            self._extra()
        return self._printer.text()

    def _copy(self, end: int) -> None:
        if end > self._at:
            self._printer.write(self._format[self._at : end])
        self._at = end

    def _directive(self) -> None:
        directive = Directive()
        self._good_index = True
        self._after_index = False
        for flag in set(self._run(_ANY_FLAGS)):
            setattr(directive, _FLAGS[flag], True)
        self._index()
        self._width(directive)
        if self._peek() == "." and self._at + 1 < len(self._format):
            self._at += 1
            self._precision(directive)
        if not self._after_index:
            self._index()
        self._verb(directive)

    def _peek(self) -> str:
        return self._format[self._at : self._at + 1]

    def _width(self, directive: Directive) -> None:
        if self._peek() == "*":
            self._at += 1
            width = self._number_of_argument()
            if width is None:
                self._printer.write("%!(BADWIDTH)")
            elif width < 0:
                width, directive.minus, directive.zero = -width, True, False
            directive.width = width
            self._after_index = False
        else:
            directive.width = self._number()
            if self._after_index and directive.width is not None:
                self._good_index = False

    def _precision(self, directive: Directive) -> None:
        if self._after_index:
            self._good_index = False
        self._index()
        if self._peek() != "*":
            directive.precision = self._number() or 0
            return
        self._at += 1
        precision = self._number_of_argument()
        if precision is None or precision < 0:
            precision = None
            self._printer.write("%!(BADPREC)")
        directive.precision = precision
        self._after_index = False

    def _number(self) -> int | None:
        """Read digits. What Go would find too large is refused, as is what costs too much."""
        digits = self._run(_DIGITS)
        if not digits:
            return None
        number = _small(digits)
        self._budget.check_width(number)
        return number

    def _run(self, pattern: re.Pattern[str]) -> str:
        """Take what a pattern matches, which may be nothing."""
        match = pattern.match(self._format, self._at)
        run = match[0] if match else ""
        self._budget.read(len(run))
        self._at += len(run)
        return run

    def _number_of_argument(self) -> int | None:
        """Take a value as a width or precision."""
        if self._argument >= len(self._values):
            return None
        value = self._values[self._argument]
        self._argument += 1
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
            return None
        self._budget.check_width(value)
        return value

    def _index(self) -> None:
        """Take `[n]`, which says which value is next (Go: argNumber)."""
        self._after_index = False
        if self._peek() != "[":
            return
        self._reordered = True
        number = self._bracketed()
        self._after_index = number is not None
        if number is not None and 0 <= number < len(self._values):
            self._argument = number
        else:
            self._good_index = False

    def _bracketed(self) -> int | None:
        """Take what stands in brackets, and return it as a number from 0 if it is one."""
        if self._last_bracket <= self._at or self._at + 3 > len(self._format):
            self._at += 1
            return None
        close = self._format.index("]", self._at)
        self._budget.read(close - self._at)
        inside = self._format[self._at + 1 : close]
        self._at = close + 1
        return _small(inside) - 1 if _DIGITS.fullmatch(inside) and inside else None

    def _verb(self, directive: Directive) -> None:
        verb = self._peek()
        if not verb:
            self._printer.write("%!(NOVERB)")
            return
        self._at += 1
        if verb == "%":
            self._printer.write("%")
        elif not self._good_index:
            self._printer.write(f"%!{verb}(BADINDEX)")
        elif self._argument >= len(self._values):
            self._printer.write(f"%!{verb}(MISSING)")
        else:
            if verb in "vw":
                directive.sharp_v, directive.sharp, directive.plus = directive.sharp, False, False
            self._printer.value(self._values[self._argument], verb, directive)
            self._argument += 1

    def _extra(self) -> None:
        """Tell of values that nothing asked for."""
        before = "%!(EXTRA "
        for value in self._values[self._argument :]:
            self._printer.write(before)
            if not is_nil(value):
                self._printer.write(f"{type_name(value)}=")
            self._printer.value(value, "v", Directive())
            before = ", "
        self._printer.write(")")


def _small(digits: str) -> int:
    """Return a number, or another one that is too large as well."""
    return int(digits.lstrip("0")[:8] or "0")
