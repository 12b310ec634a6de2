"""What goes wrong with templates.

TemplateError      what callers get: the place and the reason
Failure            the execution cannot go on, in Go's words; the place is added where it is known
Refusal            a bound was reached; so is the place
"""


class TemplateError(ValueError):
    """A template cannot be compiled or rendered. `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.message = message
        self.line = line
        self.column = column


class Failure(Exception):
    """The data or the arguments do not fit what the template does with them."""


class Refusal(Exception):
    """More was asked for than the limits allow."""
