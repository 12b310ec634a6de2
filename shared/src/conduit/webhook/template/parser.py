"""From tokens to trees (Go: text/template/parse/parse.go; doc "Actions").

Variables, functions and the places of break and continue are checked here, as in Go. A block or
definition is parsed by a parser of its own, over the same tokens.
"""

from collections.abc import Callable, Collection

from conduit.webhook.template.lexer import Kind, Token
from conduit.webhook.template.limits import Limits
from conduit.webhook.template.nodes import (
    Action,
    Break,
    Choice,
    Continue,
    If,
    Invocation,
    Node,
    Nodes,
    Range,
    Text,
    With,
)
from conduit.webhook.template.pipelines import PipelineParser
from conduit.webhook.template.source import Source, Trees


def parse(name: str, text: str, functions: Collection[str], limits: Limits) -> Trees:
    """Return the trees of a text and of what it defines, by their names, or raise TemplateError."""
    source = Source(name, text, functions, limits)
    _Parser(source).parse_text(name)
    return source.trees


class _Parser(PipelineParser):
    """Parses one template: recursive descent, one method per rule of the grammar."""

    _ranges = 0

    def parse_text(self, name: str) -> None:
        """Parse to the end: what `define` allows at the top, too."""
        source = self.source
        nodes: list[Node] = []
        while source.peek().kind is not Kind.END_OF_TEXT:
            mark = source.mark()
            if self._at_definition():
                _Parser(source).parse_definition()
                continue
            source.back_to(mark)
            node = self._text_or_action()
            if isinstance(node, Token):
                raise source.failure(f"unexpected {_braced(node)}")
            nodes.append(node)
        source.add(name, tuple(nodes))

    def _at_definition(self) -> bool:
        """Take two tokens if the first begins an action, and tell whether that is a define."""
        if self.source.peek().kind is not Kind.LEFT_DELIMITER:
            return False
        self.source.next()
        return self.source.next_non_space().kind is Kind.DEFINE

    def parse_definition(self) -> None:
        """Parse `"name"}} … {{end}}`."""
        token = self.source.next_non_space()
        name = self.template_name(token, "define clause")
        self.expect(Kind.RIGHT_DELIMITER, "define clause")
        self.parse_block(name, "define clause")

    def parse_block(self, name: str, context: str, start: Token | None = None) -> None:
        """Parse up to the end, and keep it by a name."""
        nodes, end = self._item_list()
        if end.kind is not Kind.END:
            raise self.source.failure(f"unexpected {_braced(end)} in {context}", start)
        self.source.add(name, nodes)

    def _item_list(self) -> tuple[Nodes, Token]:
        """Parse up to an end or else, and return that, too."""
        nodes: list[Node] = []
        with self.source.nested():
            while self.source.peek_non_space().kind is not Kind.END_OF_TEXT:
                node = self._text_or_action()
                if isinstance(node, Token):
                    return tuple(nodes), node
                nodes.append(node)
        raise self.source.failure("unexpected EOF")

    def _text_or_action(self) -> Node | Token:
        token = self.source.next_non_space()
        if token.kind is Kind.TEXT:
            return Text(token.position, token.text)
        if token.kind is Kind.LEFT_DELIMITER:
            self.action = token
            node = self._control_or_action()
            self.action = None
            return node
        raise self.unexpected(token, "input")

    def _control_or_action(self) -> Node | Token:
        mark = self.source.mark()
        token = self.source.next_non_space()
        control = _CONTROLS.get(token.kind)
        if control is not None:
            return control(self, token)
        self.source.back_to(mark)
        position = self.source.peek_non_space().position
        return Action(position, self.pipeline("command", Kind.RIGHT_DELIMITER))

    def end(self, token: Token) -> Token:
        """Parse what follows `end`."""
        self.expect(Kind.RIGHT_DELIMITER, "end")
        return token

    def jump(self, token: Token) -> Node:
        """Parse what follows `break` or `continue`."""
        following = self.source.next_non_space()
        if following.kind is not Kind.RIGHT_DELIMITER:
            raise self.unexpected(following, _braced(token))
        if self._ranges == 0:
            raise self.source.failure(f"{_braced(token)} outside {{{{range}}}}")
        return (Break if token.kind is Kind.BREAK else Continue)(token.position)

    def alternative(self, token: Token) -> Token:
        """Parse what follows `else`, except for the `if` or `with` of a chain."""
        if self.source.peek_non_space().kind not in (Kind.IF, Kind.WITH):
            self.expect(Kind.RIGHT_DELIMITER, "else")
        return token

    def choices(self, token: Token) -> Node:
        """Parse if or with; its `else if` or `else with` are further choices."""
        scope = len(self.variables)
        choices: list[Choice] = []
        otherwise: Nodes = ()
        end = None
        while end is None or self._goes_on(end, token.kind):
            pipeline = self.pipeline(token.text, Kind.RIGHT_DELIMITER)
            body, end = self._item_list()
            choices.append(Choice(pipeline.position, pipeline, body))
        if end.kind is Kind.ELSE:
            otherwise = self._otherwise()
        del self.variables[scope:]
        make = If if token.kind is Kind.IF else With
        return make(choices[0].position, tuple(choices), otherwise)

    def _goes_on(self, end: Token, kind: Kind) -> bool:
        if end.kind is not Kind.ELSE or self.source.peek().kind is not kind:
            return False
        self.source.next()
        return True

    def _otherwise(self) -> Nodes:
        nodes, end = self._item_list()
        if end.kind is not Kind.END:
            raise self.source.failure(f"expected end; found {_braced(end)}")
        return nodes

    def range(self, _: Token) -> Node:
        """Parse what follows `range`."""
        scope = len(self.variables)
        pipeline = self.pipeline("range", Kind.RIGHT_DELIMITER)
        self._ranges += 1
        body, end = self._item_list()
        self._ranges -= 1
        otherwise = self._otherwise() if end.kind is Kind.ELSE else ()
        del self.variables[scope:]
        return Range(pipeline.position, pipeline, body, otherwise)

    def block(self, _: Token) -> Node:
        """Parse what follows `block`: a definition and its invocation."""
        source = self.source
        token = source.next_non_space()
        name = self.template_name(token, "block clause")
        pipeline = self.pipeline("block clause", Kind.RIGHT_DELIMITER)
        _Parser(source).parse_block(name, "block clause", source.reached())
        return Invocation(token.position, name, pipeline)

    def invocation(self, _: Token) -> Node:
        """Parse what follows `template`."""
        token = self.source.next_non_space()
        name = self.template_name(token, "template clause")
        if self.source.peek_non_space().kind is Kind.RIGHT_DELIMITER:
            self.source.next()
            return Invocation(token.position, name, None)
        pipeline = self.pipeline("template clause", Kind.RIGHT_DELIMITER)
        return Invocation(token.position, name, pipeline)


_CONTROLS: dict[Kind, Callable[[_Parser, Token], Node | Token]] = {
    Kind.BLOCK: _Parser.block,
    Kind.BREAK: _Parser.jump,
    Kind.CONTINUE: _Parser.jump,
    Kind.ELSE: _Parser.alternative,
    Kind.END: _Parser.end,
    Kind.IF: _Parser.choices,
    Kind.RANGE: _Parser.range,
    Kind.TEMPLATE: _Parser.invocation,
    Kind.WITH: _Parser.choices,
}


def _braced(token: Token) -> str:
    return f"{{{{{token.text}}}}}"
