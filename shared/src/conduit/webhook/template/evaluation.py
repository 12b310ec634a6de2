"""Rendering: one walk over the tree (Go: text/template/exec.go, "Walk functions"; doc "Actions").

What walks a body returns how it ended: None, or the break or continue for the loop around it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conduit.webhook.template.errors import Failure, Refusal, TemplateError
from conduit.webhook.template.expressions import Expressions
from conduit.webhook.template.formatting import printed, shown
from conduit.webhook.template.lexer import Lines
from conduit.webhook.template.limits import Budget, Limits
from conduit.webhook.template.nodes import (
    Action,
    Break,
    Continue,
    If,
    Invocation,
    Nodes,
    Pipeline,
    Range,
    Text,
    With,
)
from conduit.webhook.template.octets import valid
from conduit.webhook.template.quoting import quote
from conduit.webhook.template.values import (
    NOTHING,
    is_list,
    is_map,
    is_nil,
    is_true,
    sorted_keys,
)
from conduit.webhook.template.variables import Variables

_QUOTED = 100
"""Characters of a node that a message quotes."""

Jump = Break | Continue | None

_Element = tuple[object, object]


def render(trees: Mapping[str, Nodes], name: str, text: str, data: object, limits: Limits) -> str:
    """Return the output of the named tree; `text` is what they were made of."""
    data = NOTHING if data is None else data
    walk = _Walk(trees, name, data, limits)
    try:
        walk.body(data, trees[name])
        return walk.output()
    except Failure as failure:
        message = f"{walk.context()}: {failure}"
    except Refusal as refusal:
        message = str(refusal)
    except RecursionError:
        message = "the template is nested too deeply"
    lines, position = Lines(text), walk.place.position if walk.place else 0
    raise TemplateError(valid(message), lines.line(position), lines.column(position))


class _Walk(Expressions):
    """One rendering. `_name` is the template that is under way."""

    def __init__(self, trees: Mapping[str, Nodes], name: str, data: object, limits: Limits) -> None:
        super().__init__(data, Budget(limits))
        self._trees = trees
        self._name = name
        self._pieces: list[str] = []

    def output(self) -> str:
        return valid("".join(self._pieces))

    def context(self) -> str:
        """Return where the walk is, as Go's errors say it."""
        source = str(self.place)
        shortened = f"{source[:_QUOTED]}..." if len(source) > _QUOTED else source
        return f"executing {quote(self._name)} at <{shortened}>"

    def body(self, dot: object, nodes: Nodes) -> Jump:
        for node in nodes:
            self.budget.step()
            jump = _WALKS[type(node)](self, dot, node)
            if jump is not None:
                return jump
        return None

    def write(self, text: str) -> None:
        self.budget.write(len(text))
        self._pieces.append(text)

    def text(self, _: object, node: Text) -> None:
        self.write(node.text)

    def action(self, dot: object, node: Action) -> None:
        value = self.pipeline(dot, node.pipeline)
        if node.pipeline.variables:
            return
        self.place = node
        if isinstance(value, str):
            self.write(value)
        else:
            self.write("<no value>" if value is NOTHING else printed([value], self.budget))

    def choice(self, dot: object, node: If | With) -> Jump:
        self.enter()
        mark = self.variables.mark()
        jump = self.body(*self._chosen(dot, node))
        self.variables.pop(mark)
        self.leave()
        return jump

    def _chosen(self, dot: object, node: If | With) -> tuple[object, Nodes]:
        for choice in node.choices:
            value = self.pipeline(dot, choice.pipeline)
            if is_true(value):
                return (value if isinstance(node, With) else dot), choice.body
        return dot, node.otherwise

    def range(self, dot: object, node: Range) -> Jump:
        self.enter()
        mark = self.variables.mark()
        value = self.pipeline(dot, node.pipeline)
        count, elements = self._elements(value, node.pipeline)
        jump = None
        if count > 0:
            self._loop(elements, node)
        else:
            jump = self.body(dot, node.otherwise)
        self.variables.pop(mark)
        self.leave()
        return jump

    def _elements(self, value: object, pipeline: Pipeline) -> tuple[int, Iterable[_Element]]:
        """Return how many elements a value has, and them with their keys."""
        if is_nil(value):
            return 0, ()
        if is_list(value):
            return len(value), enumerate(value)
        if is_map(value):
            self.budget.step(len(value))
            return len(value), ((key, value[key]) for key in sorted_keys(value))
        if isinstance(value, bool) or not isinstance(value, int):
            raise Failure(f"range can't iterate over {shown(value, self.budget)}")
        if len(pipeline.variables) > 1:
            raise Failure(f"can't use {int(value)} to iterate over more than one variable")
        kind = type(value)
        return value, ((NOTHING, kind(number)) for number in range(value))

    def _loop(self, elements: Iterable[_Element], node: Range) -> None:
        bind = self._binding(node.pipeline)
        mark = self.variables.mark()
        for key, element in elements:
            self.budget.step()
            bind(key, element)
            jump = self.body(element, node.body)
            self.variables.pop(mark)
            if isinstance(jump, Break):
                break

    def _binding(self, pipeline: Pipeline) -> Callable[[object, object], None]:
        """Return what sets a loop's variables: one is the element, of two the first is the key."""
        names = pipeline.variables
        if pipeline.assigns:
            cells = [self.variables.find(name) for name in names]
        else:
            cells = self.variables.last(len(names))

        def bind(key: object, element: object) -> None:
            for cell, value in zip(cells, (key, element)[2 - len(cells) :], strict=True):
                cell.value = value

        return bind

    def jump(self, _: object, node: Break | Continue) -> Jump:
        return node

    def invocation(self, dot: object, node: Invocation) -> None:
        """Walk another template, which sees no variables from here."""
        self.place = node
        nodes = self._trees.get(node.name)
        if nodes is None:
            raise Failure(f"template {quote(node.name)} not defined")
        self.enter()
        argument = NOTHING if node.pipeline is None else self.pipeline(dot, node.pipeline)
        caller = self._name, self.variables
        self._name, self.variables = node.name, Variables(argument)
        self.body(argument, nodes)
        self._name, self.variables = caller
        self.leave()


_WALKS: dict[type, Callable[[_Walk, object, Any], Jump]] = {
    Text: _Walk.text,
    Action: _Walk.action,
    If: _Walk.choice,
    With: _Walk.choice,
    Range: _Walk.range,
    Break: _Walk.jump,
    Continue: _Walk.jump,
    Invocation: _Walk.invocation,
}
