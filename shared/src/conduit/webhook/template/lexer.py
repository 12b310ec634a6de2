"""From text to tokens (Go: text/template/parse/lex.go; doc "Text and spaces")."""

import re
from bisect import bisect_left
from enum import Enum, auto
from typing import NamedTuple

from conduit.webhook.template.quoting import code_point, quote


class Kind(Enum):
    """What a token is."""

    BOOL = auto()
    CHAR = auto()
    CHARACTER = auto()
    COMPLEX = auto()
    ASSIGN = auto()
    DECLARE = auto()
    END_OF_TEXT = auto()
    ERROR = auto()
    FIELD = auto()
    IDENTIFIER = auto()
    LEFT_DELIMITER = auto()
    LEFT_PAREN = auto()
    NUMBER = auto()
    PIPE = auto()
    RAW_STRING = auto()
    RIGHT_DELIMITER = auto()
    RIGHT_PAREN = auto()
    SPACE = auto()
    STRING = auto()
    TEXT = auto()
    VARIABLE = auto()
    BLOCK = "block"
    BREAK = "break"
    CONTINUE = "continue"
    DOT = "."
    DEFINE = "define"
    ELSE = "else"
    END = "end"
    IF = "if"
    NIL = "nil"
    RANGE = "range"
    TEMPLATE = "template"
    WITH = "with"


_KEYWORDS = {kind.value: kind for kind in Kind if isinstance(kind.value, str)}
_WORDS = {**_KEYWORDS, "true": Kind.BOOL, "false": Kind.BOOL}


class Token(NamedTuple):
    """A piece of the text; an error's text is its message."""

    kind: Kind
    position: int
    text: str

    def __str__(self) -> str:
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind.value in _KEYWORDS:
            return f"<{self.text}>"
        return f"{quote(self.text[:10])}..." if len(self.text.encode()) > 10 else quote(self.text)


class Lines:
    """Turns offsets into lines and columns, both counted from 1."""

    def __init__(self, text: str) -> None:
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def line(self, position: int) -> int:
        """Return the line that an offset is in."""
        return bisect_left(self._ends, position) + 1

    def column(self, position: int) -> int:
        """Return how many characters of the line end with the one at an offset."""
        before = self.line(position) - 2
        return position - (self._ends[before] if before >= 0 else -1)


_SPACES = " \t\r\n"
_LEFT, _RIGHT = "{{", "}}"
_LEFT_TRIM = re.compile(r"-[ \t\r\n]")
_LEFT_COMMENT = re.compile(r"(?:-[ \t\r\n])?/\*")
_CLOSING = re.compile(r"([ \t\r\n]-)?\}\}")
_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"\w*")
_TERMINATOR = re.compile(r"[ \t\r\n.,|:)(]|\}\}|\Z")
_NUMBER = re.compile(
    r"""[+-]?(?:
      0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
    | 0[oO][0-7_]*(?:\.[0-7_]*)?
    | 0[bB][01_]*(?:\.[01_]*)?
    | [0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?
    )i?""",
    re.VERBOSE,
)
_QUOTED = re.compile(r'"(?:[^"\\\n]++|\\[^\n])*+"')
_CHARACTER = re.compile(r"'(?:[^'\\\n]++|\\[^\n])*+'")
_RAW = re.compile(r"`[^`]*`")
_LITERALS = {
    '"': (_QUOTED, Kind.STRING, "unterminated quoted string"),
    "'": (_CHARACTER, Kind.CHARACTER, "unterminated character constant"),
    "`": (_RAW, Kind.RAW_STRING, "unterminated raw quoted string"),
}


class _Problem(Exception):
    """What the token of kind ERROR says."""


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text; the last one is the end or an error."""
    return _Lexer(text).tokens()


class _Lexer:
    """One pass over the text. `_start` is where the present token begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = 0
        self._parentheses = 0
        self._tokens: list[Token] = []

    def tokens(self) -> list[Token]:
        try:
            while (left := self._text.find(_LEFT, self._start)) >= 0:
                self._text_before(left)
                self._comment_or_action(left + len(_LEFT))
        except _Problem as problem:
            self._tokens.append(Token(Kind.ERROR, self._start, str(problem)))
            return self._tokens
        end = len(self._text)
        if self._start < end:
            self._emit(Kind.TEXT, end)
        self._emit(Kind.END_OF_TEXT, end)
        return self._tokens

    def _emit(self, kind: Kind, end: int) -> None:
        self._tokens.append(Token(kind, self._start, self._text[self._start : end]))
        self._start = end

    def _text_before(self, left: int) -> None:
        end = left
        if _LEFT_TRIM.match(self._text, left + len(_LEFT)):
            end = self._start + len(self._text[self._start : left].rstrip(_SPACES))
        if end > self._start:
            self._emit(Kind.TEXT, end)
        self._start = left

    def _comment_or_action(self, inside: int) -> None:
        comment = _LEFT_COMMENT.match(self._text, inside)
        if comment is not None:
            self._start = comment.end() - 2
            self._skip_comment(comment.end())
            return
        self._emit(Kind.LEFT_DELIMITER, inside)
        if _LEFT_TRIM.match(self._text, inside):
            self._start += 2
        self._parentheses = 0
        while not self._at_end_of_action():
            self._inside_action()

    def _skip_comment(self, inside: int) -> None:
        end = self._text.find("*/", inside)
        if end < 0:
            raise _Problem("unclosed comment")
        closing = _CLOSING.match(self._text, end + 2)
        if closing is None:
            raise _Problem("comment ends before closing delimiter")
        self._start = self._after(closing)

    def _after(self, closing: re.Match[str]) -> int:
        """Return where the text after an action begins."""
        spaces = _SPACE.match(self._text, closing.end()) if closing[1] else None
        return spaces.end() if spaces else closing.end()

    def _at_end_of_action(self) -> bool:
        closing = _CLOSING.match(self._text, self._start)
        if closing is None:
            return False
        if self._parentheses:
            raise _Problem("unclosed left paren")
        self._start = closing.end() - len(_RIGHT)
        self._emit(Kind.RIGHT_DELIMITER, closing.end())
        self._start = self._after(closing)
        return True

    def _inside_action(self) -> None:
        character = self._text[self._start : self._start + 1]
        if not character:
            raise _Problem("unclosed action")
        if character in _SPACES:
            self._space()
        elif character in _LITERALS:
            self._literal(*_LITERALS[character])
        elif character == "$":
            self._name(Kind.VARIABLE)
        elif character == "." and not self._digit_follows():
            self._name(Kind.FIELD)
        elif character in ".+-" or "0" <= character <= "9":
            self._number()
        elif _in_word(character):
            self._word()
        else:
            self._mark(character)

    def _digit_follows(self) -> bool:
        following = self._text[self._start + 1 : self._start + 2]
        return not following or "0" <= following <= "9"  # Go takes a last dot for a number, too

    def _space(self) -> None:
        spaces = _SPACE.match(self._text, self._start)
        end = spaces.end() if spaces else self._start
        trims = _CLOSING.match(self._text, end - 1)
        self._emit(Kind.SPACE, end - 1 if trims and trims[1] else end)

    def _literal(self, pattern: re.Pattern[str], kind: Kind, problem: str) -> None:
        literal = pattern.match(self._text, self._start)
        if literal is None:
            raise _Problem(problem)
        self._emit(kind, literal.end())

    def _name(self, kind: Kind) -> None:
        """Emit a field or variable, or the dot alone."""
        end = self._end_of_word(self._start + 1)
        self._check_terminator(end)
        bare_dot = kind is Kind.FIELD and end == self._start + 1
        self._emit(Kind.DOT if bare_dot else kind, end)

    def _word(self) -> None:
        end = self._end_of_word(self._start)
        self._check_terminator(end)
        word = self._text[self._start : end]
        self._emit(_WORDS.get(word, Kind.IDENTIFIER), end)

    def _end_of_word(self, start: int) -> int:
        match = _WORD.match(self._text, start)
        end = match.end() if match else start
        word = self._text[start:end]
        if word.isascii():
            return end
        return start + next((i for i, c in enumerate(word) if not _in_word(c)), len(word))

    def _check_terminator(self, end: int) -> None:
        if not _TERMINATOR.match(self._text, end):
            raise _Problem(f"bad character {_described(self._text[end])}")

    def _number(self) -> None:
        end = self._end_of_number(self._start)
        kind = Kind.NUMBER
        if self._text[end : end + 1] in {"+", "-"}:
            end = self._end_of_number(end)
            if self._text[end - 1] != "i":
                raise self._bad_number(end)
            kind = Kind.COMPLEX
        self._emit(kind, end)

    def _end_of_number(self, start: int) -> int:
        match = _NUMBER.match(self._text, start)
        end = match.end() if match else start
        if _in_word(self._text[end : end + 1]):
            raise self._bad_number(end + 1)
        return end

    def _bad_number(self, end: int) -> _Problem:
        return _Problem(f"bad number syntax: {quote(self._text[self._start : end])}")

    def _mark(self, character: str) -> None:
        if character == ":":
            if self._text[self._start + 1 : self._start + 2] != "=":
                raise _Problem("expected :=")
            self._emit(Kind.DECLARE, self._start + 2)
            return
        if character in "()":
            self._parentheses += 1 if character == "(" else -1
            if self._parentheses < 0:
                raise _Problem("unexpected right paren")
        kind = _MARKS.get(character)
        if kind is None:
            if not " " < character <= "~":
                raise _Problem(f"unrecognized character in action: {_described(character)}")
            kind = Kind.CHAR
        self._emit(kind, self._start + 1)


_MARKS = {"=": Kind.ASSIGN, "|": Kind.PIPE, "(": Kind.LEFT_PAREN, ")": Kind.RIGHT_PAREN}


def _in_word(character: str) -> bool:
    """Tell whether a character is a letter, a digit or an underscore, as Unicode and Go have it."""
    return character == "_" or character.isalpha() or character.isdecimal()


def _described(character: str) -> str:
    """Return a character as Go's %#U prints it."""
    shown = f" '{character}'" if character.isprintable() else ""
    return f"{code_point(ord(character))}{shown}"
