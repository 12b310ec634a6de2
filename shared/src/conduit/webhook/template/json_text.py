"""toJson: a value as Go's json.Marshal writes it.

Keys are sorted, and `<`, `>`, `&` escaped, so that the text is safe in HTML.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring

from conduit.webhook.template.errors import Failure
from conduit.webhook.template.escapes import in_pieces
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.numerals import floating, shortest_decimal
from conduit.webhook.template.octets import valid
from conduit.webhook.template.values import is_list, is_map, is_nil, sorted_keys, type_name

_ESCAPES = (
    *(("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")),
    *(("\u2028", "\\u2028"), ("\u2029", "\\u2029")),
)


def to_json(value: object, budget: Budget) -> str:
    """Return a value as JSON."""
    return "".join(_pieces(value, budget, 1))


def _pieces(value: object, budget: Budget, depth: int) -> Iterator[str]:
    budget.step()
    budget.check_depth(depth)
    if isinstance(value, str):
        yield _string(value, budget)
    elif is_map(value):
        yield from _map(value, budget, depth)
    elif is_list(value):
        yield from _list(value, budget, depth)
    else:
        yield _scalar(value)


def _map(value: Mapping[str, object], budget: Budget, depth: int) -> Iterator[str]:
    before = "{"
    for key in sorted_keys(value):
        yield f"{before}{_string(key, budget)}:"
        yield from _pieces(value[key], budget, depth + 1)
        before = ","
    yield "}" if before == "," else "{}"


def _list(value: Sequence[object], budget: Budget, depth: int) -> Iterator[str]:
    before = "["
    for element in value:
        yield before
        yield from _pieces(element, budget, depth + 1)
        before = ","
    yield "]" if before == "," else "[]"


def _scalar(value: object) -> str:
    if is_nil(value):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Failure(f"json: unsupported value: {floating(value, 'g', None)}")
        return shortest_decimal(value)
    raise Failure(f"json: unsupported type: {type_name(value)}")


def _string(text: str, budget: Budget) -> str:
    return f'"{in_pieces(_escaped, valid(text), budget)}"'


def _escaped(text: str) -> tuple[str, int]:
    quoted: str = encode_basestring(text)
    inside = quoted[1:-1]
    for character, escape in _ESCAPES:
        inside = inside.replace(character, escape)
    return inside, 0
