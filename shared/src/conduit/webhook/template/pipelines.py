"""Pipelines and what they are made of (Go: text/template/parse/parse.go; doc "Pipelines")."""

from collections.abc import Callable
from typing import TypeVar

from conduit.webhook.template.errors import TemplateError
from conduit.webhook.template.lexer import Kind, Token
from conduit.webhook.template.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Number,
    Pipeline,
    String,
    Term,
    Variable,
)
from conduit.webhook.template.numbers import read_complex, read_number
from conduit.webhook.template.quoting import quote, unquote, unquote_character
from conduit.webhook.template.source import Source

T = TypeVar("T")

_NOT_EXECUTABLE = (Bool, Dot, Nil, Number, String)
_NUMBERS: dict[Kind, Callable[[str], int | float | complex | None]] = {
    Kind.NUMBER: read_number,
    Kind.COMPLEX: read_complex,
    Kind.CHARACTER: unquote_character,
}


class PipelineParser:
    """Parses the pipelines of one template; knows which variables there are."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.variables = ["$"]
        self.action: Token | None = None

    def template_name(self, token: Token, context: str) -> str:
        """Return the name that a token gives to a template."""
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            raise self.unexpected(token, context)
        return _read(self.source, unquote, token)

    def pipeline(self, context: str, end: Kind) -> Pipeline:
        """Parse up to a closing token, and take that."""
        source = self.source
        position = source.peek_non_space().position
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            mark = source.mark()
            token = source.next_non_space()
            if token.kind is end:
                break
            if token.kind not in _TERMS:
                raise self.unexpected(token, context)
            source.back_to(mark)
            commands.append(self._command())
        self._check_pipeline(commands, context)
        return Pipeline(position, tuple(variables), assigns, tuple(commands))

    def _check_pipeline(self, commands: list[Command], context: str) -> None:
        if not commands:
            raise self.source.failure(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], _NOT_EXECUTABLE):
                raise self.source.failure(f"non executable command in pipeline stage {stage}")

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """Parse `$x :=`, `$x =`, and of a range `$i, $x :=`."""
        source = self.source
        variables: list[str] = []
        while source.peek_non_space().kind is Kind.VARIABLE:
            mark = source.mark()
            name = source.next().text
            following = source.peek_non_space()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                source.next()
                self._declare(name, variables)
                return variables, following.kind is Kind.ASSIGN
            if following.kind is not Kind.CHAR or following.text != ",":
                source.back_to(mark)
                break
            source.next()
            self._declare(name, variables)
            self._check_second(context, variables)
        return variables, False

    def _declare(self, name: str, variables: list[str]) -> None:
        variables.append(name)
        self.variables.append(name)

    def _check_second(self, context: str, variables: list[str]) -> None:
        if context == "range" and len(variables) < 2:
            allowed = (Kind.VARIABLE, Kind.RIGHT_DELIMITER, Kind.RIGHT_PAREN)
            if self.source.peek_non_space().kind in allowed:
                return
            raise self.source.failure("range can only initialize variables")
        raise self.source.failure(f"too many declarations in {context}")

    def _command(self) -> Command:
        source = self.source
        position = source.peek_non_space().position
        operands: list[Term] = []
        while True:
            source.skip_space()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = source.peek()
            if token.kind in (Kind.RIGHT_DELIMITER, Kind.RIGHT_PAREN):
                break
            source.next()
            if token.kind is Kind.PIPE:
                break
            if token.kind is not Kind.SPACE:
                raise self.unexpected(token, "operand")
        return Command(position, tuple(operands))

    def _operand(self) -> Term | None:
        """Parse a term and the fields after it."""
        source = self.source
        term = self._term()
        if term is None or source.peek().kind is not Kind.FIELD:
            return term
        position = source.peek().position
        names = []
        while source.peek().kind is Kind.FIELD:
            names.append(source.next().text[1:])
        if isinstance(term, Field):
            return Field(position, (*term.names, *names))
        if isinstance(term, Variable):
            return Variable(position, term.name, (*term.names, *names))
        if isinstance(term, _NOT_EXECUTABLE):
            raise source.failure(f"unexpected . after term {quote(str(term))}")
        return Chain(position, term, tuple(names))

    def _term(self) -> Term | None:
        source = self.source
        mark = source.mark()
        token = source.next_non_space()
        make = _TERMS.get(token.kind)
        if make is None:
            source.back_to(mark)
            return None
        return make(self, token)

    def expect(self, kind: Kind, context: str) -> None:
        """Take a token of this kind."""
        token = self.source.next_non_space()
        if token.kind is not kind:
            raise self.unexpected(token, context)

    def unexpected(self, token: Token, context: str) -> TemplateError:
        """Return the error for a token that does not belong here."""
        if token.kind is not Kind.ERROR:
            return self.source.failure(f"unexpected {token} in {context}")
        return self.source.failure(f"{token}{self._started(token)}")

    def _started(self, token: Token) -> str:
        """Return where the action began that an error ends, if that is another line."""
        if self.action is None:
            return ""
        line = self.source.line(self.action)
        if line == self.source.line(token):
            return ""
        started = f" started at {self.source.name}:{line}"
        return started if token.text.endswith(" action") else f" in action{started}"


def _identifier(parser: PipelineParser, token: Token) -> Term:
    if token.text not in parser.source.functions:
        raise parser.source.failure(f"function {quote(token.text)} not defined")
    return Identifier(token.position, token.text)


def _variable(parser: PipelineParser, token: Token) -> Term:
    if token.text not in parser.variables:
        raise parser.source.failure(f"undefined variable {quote(token.text)}")
    return Variable(token.position, token.text)


def _number(parser: PipelineParser, token: Token) -> Term:
    return Number(token.position, token.text, _read(parser.source, _NUMBERS[token.kind], token))


def _string(parser: PipelineParser, token: Token) -> Term:
    return String(token.position, token.text, _read(parser.source, unquote, token))


def _parenthesized(parser: PipelineParser, _: Token) -> Term:
    with parser.source.nested():
        return parser.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)


_TERMS: dict[Kind, Callable[[PipelineParser, Token], Term]] = {
    Kind.IDENTIFIER: _identifier,
    Kind.DOT: lambda _, token: Dot(token.position),
    Kind.NIL: lambda _, token: Nil(token.position),
    Kind.VARIABLE: _variable,
    Kind.FIELD: lambda _, token: Field(token.position, (token.text[1:],)),
    Kind.BOOL: lambda _, token: Bool(token.position, token.text == "true"),
    **dict.fromkeys((Kind.NUMBER, Kind.COMPLEX, Kind.CHARACTER), _number),
    **dict.fromkeys((Kind.STRING, Kind.RAW_STRING), _string),
    Kind.LEFT_PAREN: _parenthesized,
}


def _read(source: Source, read: Callable[[str], T], token: Token) -> T:
    try:
        return read(token.text)
    except ValueError as error:
        raise source.failure(str(error)) from None
