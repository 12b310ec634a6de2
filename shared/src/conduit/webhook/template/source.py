"""What the parsers of one text share: its tokens, the place that was reached, the trees."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from conduit.webhook.template.errors import TemplateError
from conduit.webhook.template.lexer import Kind, Lines, Token, tokens_of
from conduit.webhook.template.limits import Limits
from conduit.webhook.template.nodes import Nodes, is_empty
from conduit.webhook.template.quoting import quote

Trees = dict[str, Nodes]


class Source:
    """The tokens of a text, read with any look-ahead, and the trees made of them so far."""

    def __init__(self, name: str, text: str, functions: Collection[str], limits: Limits) -> None:
        self.name = name
        self.functions = functions
        self.limits = limits
        self.trees: Trees = {}
        self._depth = 0
        self._lines = Lines(text)
        self._tokens = tokens_of(text)
        self._next = 0
        self._reached = 0

    def next(self) -> Token:
        """Take a token."""
        token = self.peek()
        self._next += 1
        return token

    def peek(self) -> Token:
        """Look at the next token."""
        self._reached = max(self._reached, self._next)
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def next_non_space(self) -> Token:
        """Take a token that is no space."""
        self.skip_space()
        return self.next()

    def peek_non_space(self) -> Token:
        """Look at the next token that is no space; what is before it is gone."""
        self.skip_space()
        return self.peek()

    def skip_space(self) -> None:
        """Take spaces."""
        while self.peek().kind is Kind.SPACE:
            self._next += 1

    def mark(self) -> int:
        """Return the present place."""
        return self._next

    def back_to(self, mark: int) -> None:
        """Go back to a place."""
        self._next = mark

    def reached(self) -> Token:
        """Return the last token that was looked at, which is where errors are reported."""
        return self._tokens[min(self._reached, len(self._tokens) - 1)]

    def line(self, token: Token) -> int:
        """Return the line of a token."""
        return self._lines.line(token.position)

    def failure(self, message: str, at: Token | None = None) -> TemplateError:
        """Return the error to raise, at the last token that was looked at or another."""
        position = (at or self.reached()).position
        return TemplateError(message, self._lines.line(position), self._lines.column(position))

    def add(self, name: str, nodes: Nodes) -> None:
        """Keep a tree, unless it is an empty one in the place of another (doc "block")."""
        present = self.trees.get(name)
        if present is None or is_empty(present):
            self.trees[name] = nodes
        elif not is_empty(nodes):
            raise self.failure(f"template: multiple definition of template {quote(name)}")
        if len(self.trees) > self.limits.templates + 1:
            raise self.failure(f"more than {self.limits.templates} templates are defined")

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Count a level of nesting."""
        self._depth += 1
        if self._depth > self.limits.nesting:
            raise self.failure(
                f"blocks and parentheses are nested more than {self.limits.nesting} deep"
            )
        yield
        self._depth -= 1
