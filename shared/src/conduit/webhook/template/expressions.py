"""The values of pipelines (Go: text/template/exec.go, "Eval functions"; doc "Pipelines").

`place` is the node under evaluation, which errors name; it moves as in Go.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from conduit.webhook.template.errors import Failure
from conduit.webhook.template.functions import FUNCTIONS, Function, Parameter, Special
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipeline,
    String,
    Term,
    Variable,
)
from conduit.webhook.template.values import NOTHING, is_map, is_nil, is_true, type_name
from conduit.webhook.template.variables import Variables

_ABSENT: Final = object()
"""In the place of a command's last argument when no pipeline gives one, which nil would be."""


class Expressions:
    """Evaluates pipelines. `dot` is the cursor."""

    def __init__(self, data: object, budget: Budget) -> None:
        self.budget = budget
        self.variables = Variables(data)
        self.place: Node | Term | Command | None = None
        self._depth = 0

    def enter(self) -> None:
        """Count a level of what is under way."""
        self._depth += 1
        self.budget.check_depth(self._depth)

    def leave(self) -> None:
        """End a level."""
        self._depth -= 1

    def pipeline(self, dot: object, pipeline: Pipeline) -> object:
        """Return the value of a pipeline, and set its variables."""
        self.place = pipeline
        value: object = _ABSENT
        for command in pipeline.commands:
            value = self._command(dot, command, value)
            if value is None:
                value = NOTHING
        for name in pipeline.variables:
            if pipeline.assigns:
                self.variables.find(name).value = value
            else:
                self.variables.declare(name, value)
        return value

    def _command(self, dot: object, command: Command, final: object) -> object:
        self.budget.step()
        first = command.operands[0]
        if isinstance(first, Identifier):
            self.place = first
            return self._call(dot, first.name, command, command.operands[1:], final)
        if len(command.operands) > 1 or final is not _ABSENT:
            return self._with_arguments(dot, first)
        if isinstance(first, Nil):
            self.place = first
            raise Failure("nil is not a command")
        return self._operand(dot, first)

    def _with_arguments(self, dot: object, first: Term) -> object:
        """Evaluate what gets arguments and is no function; a field might have been a method."""
        if isinstance(first, Field):
            return self.field(dot, first, has_arguments=True)
        if isinstance(first, Chain):
            return self.chain(dot, first, has_arguments=True)
        if isinstance(first, Variable):
            value = self.variable(dot, first, has_arguments=True)
            if first.names:
                return value
        elif not isinstance(first, Pipeline):
            self.place = first
        raise Failure(f"can't give argument to non-function {first}")

    def _operand(self, dot: object, term: Term) -> object:
        self.budget.step()
        return _OPERANDS[type(term)](self, dot, term)

    def field(self, dot: object, field: Field, *, has_arguments: bool = False) -> object:
        """Return `.A.B`."""
        self.place = field
        return self._names(dot, field.names, has_arguments=has_arguments)

    def variable(self, _: object, variable: Variable, *, has_arguments: bool = False) -> object:
        """Return `$x.A.B`."""
        self.place = variable
        value = self.variables.find(variable.name).value
        return self._names(value, variable.names, has_arguments=has_arguments)

    def chain(self, dot: object, chain: Chain, *, has_arguments: bool = False) -> object:
        """Return `(pipeline).A.B`."""
        self.place = chain
        value = self._operand(dot, chain.term)
        return self._names(value, chain.names, has_arguments=has_arguments)

    def _names(self, receiver: object, names: Sequence[str], *, has_arguments: bool) -> object:
        """Follow names through maps; only they have fields (Go: evalField)."""
        self.budget.step(len(names))
        for number, name in enumerate(names, 1):
            if is_map(receiver):
                if has_arguments and number == len(names):
                    raise Failure(f"{name} is not a method but has arguments")
                try:
                    receiver = receiver[name]
                except KeyError:
                    receiver = NOTHING
            elif receiver is None:
                raise Failure(f"nil pointer evaluating interface {{}}.{name}")
            elif receiver is not NOTHING:
                raise Failure(f"can't evaluate field {name} in type {type_name(receiver)}")
        return receiver

    def identifier(self, dot: object, identifier: Identifier) -> object:
        """Return what a function without arguments gives."""
        self.place = identifier
        return self._call(dot, identifier.name, identifier, (), _ABSENT)

    def parenthesized(self, dot: object, pipeline: Pipeline) -> object:
        """Return the value of a pipeline in parentheses."""
        self.enter()
        value = self.pipeline(dot, pipeline)
        self.leave()
        return value

    def dot(self, dot: object, node: Dot) -> object:
        """Return the cursor."""
        self.place = node
        return dot

    def nil(self, _: object, node: Nil) -> object:
        """Return nil, where it is an argument."""
        self.place = node
        return NOTHING

    def constant(self, _: object, node: Bool | String | Number) -> object:
        """Return what the text says."""
        self.place = node
        if node.value is None:
            raise Failure(f"{node} overflows int")
        return node.value

    def _call(
        self,
        dot: object,
        name: str,
        place: Command | Identifier,
        arguments: Sequence[Term],
        final: object,
    ) -> object:
        """Call a function (Go: evalCall); `final` is its last argument, from the pipeline."""
        function = FUNCTIONS[name]
        _check_count(name, function, len(arguments), final is not _ABSENT)
        if function.run is Special.AND or function.run is Special.OR:
            return self._first_that_decides(dot, arguments, final, function.run)
        values = [
            self._argument(dot, term, function.parameter(number))
            for number, term in enumerate(arguments)
        ]
        if final is not _ABSENT:
            values.append(_checked(final, function.parameter(len(values))))
        try:
            if isinstance(function.run, Special):
                return _refuse_call(arguments, values[0])
            return function.run(self.budget, *values)
        except Failure as failure:
            self.place = place
            raise Failure(f"error calling {name}: {failure}") from None

    def _first_that_decides(
        self, dot: object, arguments: Sequence[Term], final: object, special: Special
    ) -> object:
        """Return the first argument that is true, or empty; those after it are not evaluated."""
        value: object = NOTHING
        for term in arguments:
            value = self._argument(dot, term, Parameter.VALUE)
            if is_true(value) is (special is Special.OR):
                return value
        return value if final is _ABSENT else final

    def _argument(self, dot: object, term: Term, parameter: Parameter) -> object:
        if parameter is not Parameter.STRING:
            return self._operand(dot, term)
        if isinstance(term, Nil | Bool | Number):
            self.place = term
            reason = "cannot assign nil to string" if isinstance(term, Nil) else None
            raise Failure(reason or f"expected string; found {term}")
        return _checked(self._operand(dot, term), parameter)


_OPERANDS: dict[type, Callable[[Expressions, object, Any], object]] = {
    Field: Expressions.field,
    Variable: Expressions.variable,
    Chain: Expressions.chain,
    Identifier: Expressions.identifier,
    Pipeline: Expressions.parenthesized,
    Dot: Expressions.dot,
    Nil: Expressions.nil,
    Bool: Expressions.constant,
    String: Expressions.constant,
    Number: Expressions.constant,
}


def _check_count(name: str, function: Function, arguments: int, final: bool) -> None:
    count, fixed = arguments + final, len(function.fixed)
    if function.rest is None and count != fixed:
        raise Failure(f"wrong number of args for {name}: want {fixed} got {count}")
    if count < fixed:
        raise Failure(f"wrong number of args for {name}: want at least {fixed} got {arguments}")


def _checked(value: object, parameter: Parameter) -> object:
    """Return a value that a parameter can take (Go: validateType)."""
    if parameter is not Parameter.STRING or isinstance(value, str):
        return value
    if value is NOTHING:
        raise Failure("invalid value; expected string")
    raise Failure(f"wrong type for value; expected string; got {type_name(value)}")


def _refuse_call(arguments: Sequence[Term], callee: object) -> object:
    """Do what `call` does with what is no function, as nothing in our data is."""
    if is_nil(callee):
        raise Failure("call of nil")
    kind = type_name(callee)
    value = callee if isinstance(callee, str) else f"<{kind} Value>"
    name = str(arguments[0]) if arguments else value
    raise Failure(f"non-function {name} of type {kind}")
