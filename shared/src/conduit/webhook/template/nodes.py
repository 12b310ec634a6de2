"""The tree of a template, as in Go's text/template/parse.

`position` is an offset in the text. `str()` of what stands in an action gives the source in Go's
normal form, which error messages quote.
"""

from dataclasses import dataclass

from conduit.webhook.template.quoting import quote


@dataclass(frozen=True, slots=True)
class Dot:
    """The cursor."""

    position: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    """The untyped nil."""

    position: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    position: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric or character constant. `value` is None for what overflows an int."""

    position: int
    source: str
    value: int | float | complex | None

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class String:
    """A string constant; `source` has its quotes."""

    position: int
    source: str
    value: str

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B`, of the cursor."""

    position: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.A.B`; `name` has its dollar sign."""

    position: int
    name: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    position: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).A.B`, or a function in the pipeline's place."""

    position: int
    term: "Term"
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join((_grouped(self.term), *(f".{name}" for name in self.names)))


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function and its arguments."""

    position: int
    operands: tuple["Term", ...]

    def __str__(self) -> str:
        return " ".join(_grouped(operand) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which gets the result of the one before as its last argument."""

    position: int
    variables: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        sign = " = " if self.assigns else " := "
        declared = ", ".join(self.variables) + sign if self.variables else ""
        return declared + " | ".join(map(str, self.commands))


Constant = Bool | Number | String
Term = Dot | Nil | Constant | Field | Variable | Identifier | Chain | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """What stands outside of actions."""

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """`{{pipeline}}`."""

    position: int
    pipeline: Pipeline

    def __str__(self) -> str:
        return f"{{{{{self.pipeline}}}}}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A pipeline and what it guards: a step of an if or with chain."""

    position: int
    pipeline: Pipeline
    body: "Nodes"


@dataclass(frozen=True, slots=True)
class If:
    """`{{if}}`, its `{{else if}}` and its `{{else}}`."""

    position: int
    choices: tuple[Choice, ...]
    otherwise: "Nodes"


@dataclass(frozen=True, slots=True)
class With:
    """`{{with}}`, its `{{else with}}` and its `{{else}}`."""

    position: int
    choices: tuple[Choice, ...]
    otherwise: "Nodes"


@dataclass(frozen=True, slots=True)
class Range:
    """`{{range}}` and its `{{else}}`."""

    position: int
    pipeline: Pipeline
    body: "Nodes"
    otherwise: "Nodes"


@dataclass(frozen=True, slots=True)
class Break:
    """`{{break}}`."""

    position: int


@dataclass(frozen=True, slots=True)
class Continue:
    """`{{continue}}`."""

    position: int


@dataclass(frozen=True, slots=True)
class Invocation:
    """`{{template}}`, which `{{block}}` becomes, too."""

    position: int
    name: str
    pipeline: Pipeline | None

    def __str__(self) -> str:
        argument = "" if self.pipeline is None else f" {self.pipeline}"
        return f"{{{{template {quote(self.name)}{argument}}}}}"


Node = Text | Action | If | With | Range | Break | Continue | Invocation
Nodes = tuple[Node, ...]


def is_empty(nodes: Nodes) -> bool:
    """Tell whether there is nothing but space."""
    return all(isinstance(node, Text) and not node.text.strip() for node in nodes)


def _grouped(term: Term) -> str:
    return f"({term})" if isinstance(term, Pipeline) else str(term)
