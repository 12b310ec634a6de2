"""Values as Go's reflect has them.

None            nil in an `any`: an element or map value that is null
NOTHING         no value at all: a missing map key, nil in a pipeline (reflect's invalid Value)
bool, int, float, complex, str
Octet           an octet of a string, uint8 in Go
list, tuple     []any; Part is what slicing gives, which has elements beyond its end
Mapping         map[string]any
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, TypeGuard

from conduit.webhook.template.errors import Failure


class _Nothing(Enum):
    NOTHING = "<no value>"


NOTHING: Final = _Nothing.NOTHING


class Octet(int):
    """A number from 0 to 255 that counts as unsigned."""


class Part(list[object]):
    """A part of a list. `beyond` follows it in the list (Go: what is between len and cap)."""

    def __init__(self, elements: Iterable[object], beyond: Sequence[object]) -> None:
        super().__init__(elements)
        self.beyond = beyond


class Kind(Enum):
    """What may be compared with what (Go: text/template/funcs.go, basicKind)."""

    OTHER = 0
    BOOL = 1
    COMPLEX = 2
    INT = 3
    FLOAT = 4
    STRING = 5
    UINT = 6


_EXACT: dict[type, tuple[str, Kind]] = {
    bool: ("bool", Kind.BOOL),
    int: ("int", Kind.INT),
    Octet: ("uint8", Kind.UINT),
    float: ("float64", Kind.FLOAT),
    complex: ("complex128", Kind.COMPLEX),
    str: ("string", Kind.STRING),
    dict: ("map[string]interface {}", Kind.OTHER),
    list: ("[]interface {}", Kind.OTHER),
    tuple: ("[]interface {}", Kind.OTHER),
    Part: ("[]interface {}", Kind.OTHER),
}


def type_name(value: object) -> str:
    """Return what Go's %T prints."""
    return _type_of(value)[0]


def kind_of(value: object) -> Kind:
    """Return what a value is comparable with."""
    return Kind.OTHER if is_nil(value) else _type_of(value)[1]


def is_nil(value: object) -> bool:
    """Tell whether there is no value, or nil."""
    return value is None or value is NOTHING


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value is a list, and not a string."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_map(value: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether a value is a map."""
    return isinstance(value, Mapping)


def is_true(value: object) -> bool:
    """Tell whether a value is not the zero of its type (doc "if": "The empty values are …")."""
    return value is not NOTHING and bool(value)


def sorted_keys(value: Mapping[str, object]) -> list[str]:
    """Return the keys of a map in the order of range and of print."""
    return sorted(value)


def _type_of(value: object) -> tuple[str, Kind]:
    found = _EXACT.get(type(value))
    if found is not None:
        return found
    for base in (str, Mapping, Sequence):
        if isinstance(value, base):
            return _EXACT[{str: str, Mapping: dict, Sequence: list}[base]]
    if value is None:
        return "interface {}", Kind.OTHER
    raise Failure(f"templates cannot use a {type(value).__name__}")
