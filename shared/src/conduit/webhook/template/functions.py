"""The functions of templates (Go: text/template/funcs.go; doc "Functions").

`and`, `or` and `call` are here by name only: the first two leave arguments unevaluated, and what
they need of the evaluation is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from conduit.webhook.template import comparison, escapes
from conduit.webhook.template.errors import Failure
from conduit.webhook.template.formatting import printed, printed_line
from conduit.webhook.template.json_text import to_json
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.octets import length, octets, text_of
from conduit.webhook.template.printf import printf
from conduit.webhook.template.values import (
    NOTHING,
    Octet,
    Part,
    is_list,
    is_map,
    is_nil,
    is_true,
    type_name,
)


class Parameter(Enum):
    """The Go type of a parameter."""

    VALUE = "reflect.Value"
    ANY = "interface {}"
    STRING = "string"


class Special(Enum):
    """What the evaluation does itself."""

    AND = auto()
    OR = auto()
    CALL = auto()


@dataclass(frozen=True, slots=True)
class Function:
    """A function, called with the budget and its arguments. `rest` is for any number of them."""

    run: Callable[..., Any] | Special
    fixed: tuple[Parameter, ...] = ()
    rest: Parameter | None = None

    def parameter(self, number: int) -> Parameter:
        """Return the type of an argument, whose count is known to be right."""
        return self.fixed[number] if number < len(self.fixed) else self.rest or Parameter.VALUE


def index(budget: Budget, item: object, *keys: object) -> object:
    """Return `item[key][key]…` (doc "index")."""
    if is_nil(item):
        raise Failure("index of untyped nil")
    for key in keys:
        if is_nil(item):
            raise Failure("index of nil pointer")
        item = _element(budget, item, key)
    return item


def _element(budget: Budget, item: object, key: object) -> object:
    if is_map(item):
        return _map_element(item, key)
    if isinstance(item, str):
        budget.read(len(item))
        raw = octets(item)
        return Octet(raw[_position(key, len(raw), "string")])
    if is_list(item):
        return item[_position(key, len(item), "slice")]
    raise Failure(f"can't index item of type {type_name(item)}")


def _map_element(item: Mapping[str, object], key: object) -> object:
    if is_nil(key):
        raise Failure("value is nil; should be of type string")
    if not isinstance(key, str):
        raise Failure(f"value has type {type_name(key)}; should be string")
    try:
        return item[key]
    except KeyError:
        return None


def _position(key: object, size: int, kind: str) -> int:
    position = _index_argument(key, size)
    if position == size:
        raise Failure(f"reflect: {kind} index out of range")
    return position


def _index_argument(key: object, largest: int) -> int:
    if is_nil(key):
        raise Failure("cannot index slice/array with nil")
    if isinstance(key, bool) or not isinstance(key, int):
        raise Failure(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= largest:
        raise Failure(f"index out of range: {int(key)}")
    return key


def slice_(budget: Budget, item: object, *keys: object) -> object:
    """Return `item[i:j:k]`, where k is the end of what can be sliced again (doc "slice")."""
    if is_nil(item):
        raise Failure("slice of untyped nil")
    if len(keys) > 3:
        raise Failure(f"too many slice indexes: {len(keys)}")
    if isinstance(item, str):
        return _slice_of_string(budget, item, keys)
    if not is_list(item):
        raise Failure(f"can't slice item of type {type_name(item)}")
    beyond = item.beyond if isinstance(item, Part) else ()
    budget.step(1 + (len(item) + len(beyond)) // 16)
    whole = [*item, *beyond]
    start, end, last = _bounds(keys, len(item), len(whole))
    return Part(whole[start:end], whole[end:last])


def _slice_of_string(budget: Budget, item: str, keys: tuple[object, ...]) -> str:
    if len(keys) == 3:
        raise Failure("cannot 3-index slice a string")
    budget.make(len(item))
    raw = octets(item)
    start, end, _ = _bounds(keys, len(raw), len(raw))
    return text_of(raw[start:end])


def _bounds(keys: tuple[object, ...], size: int, capacity: int) -> tuple[int, int, int]:
    bounds = [0, size, capacity]
    for number, key in enumerate(keys):
        bounds[number] = _index_argument(key, capacity)
    start, end, last = bounds
    for low, high in ((start, end), (end, last)):
        if low > high:
            raise Failure(f"invalid slice index: {low} > {high}")
    return start, end, last


def length_(budget: Budget, item: object) -> int:
    """Return how many elements there are, or octets (doc "len")."""
    if item is NOTHING:
        raise Failure("reflect: call of reflect.Value.Type on zero Value")
    if item is None:
        raise Failure("len of nil pointer")
    if isinstance(item, str):
        budget.read(len(item))
        return length(item)
    if is_map(item) or is_list(item):
        return len(item)
    raise Failure(f"len of type {type_name(item)}")


def not_(_: Budget, value: object) -> bool:
    """Return whether a value is empty (doc "not")."""
    return not is_true(value)


def print_(budget: Budget, *values: object) -> str:
    """Return values as text (doc "print")."""
    return printed(values, budget)


def println_(budget: Budget, *values: object) -> str:
    """Return values as a line (doc "println")."""
    return printed_line(values, budget)


def printf_(budget: Budget, template: str, *values: object) -> str:
    """Return values in a form of choice (doc "printf")."""
    return printf(template, values, budget)


def to_json_(budget: Budget, value: object) -> str:
    """Return a value as JSON: what no Go template has by itself, but ours."""
    return to_json(value, budget)


def _escaping(change: escapes.Escape) -> Callable[..., str]:
    def escape(budget: Budget, *values: object) -> str:
        if len(values) == 1 and isinstance(values[0], str):
            text = values[0]
        else:
            shown = ["<no value>" if is_nil(value) else value for value in values]
            text = printed(shown, budget)
        return escapes.in_pieces(change, text, budget)

    return escape


_VALUE, _ANY, _STRING = Parameter.VALUE, Parameter.ANY, Parameter.STRING

FUNCTIONS: Final[Mapping[str, Function]] = {
    "and": Function(Special.AND, (_VALUE,), _VALUE),
    "call": Function(Special.CALL, (_VALUE,), _VALUE),
    "html": Function(_escaping(escapes.html), (), _ANY),
    "index": Function(index, (_VALUE,), _VALUE),
    "slice": Function(slice_, (_VALUE,), _VALUE),
    "js": Function(_escaping(escapes.js), (), _ANY),
    "len": Function(length_, (_VALUE,)),
    "not": Function(not_, (_VALUE,)),
    "or": Function(Special.OR, (_VALUE,), _VALUE),
    "print": Function(print_, (), _ANY),
    "printf": Function(printf_, (_STRING,), _ANY),
    "println": Function(println_, (), _ANY),
    "urlquery": Function(_escaping(escapes.urlquery), (), _ANY),
    "eq": Function(comparison.equal, (_VALUE,), _VALUE),
    "ge": Function(comparison.greater_or_equal, (_VALUE, _VALUE)),
    "gt": Function(comparison.greater, (_VALUE, _VALUE)),
    "le": Function(comparison.less_or_equal, (_VALUE, _VALUE)),
    "lt": Function(comparison.less, (_VALUE, _VALUE)),
    "ne": Function(comparison.unequal, (_VALUE, _VALUE)),
    "toJson": Function(to_json_, (_ANY,)),
}
