"""eq, ne, lt, le, gt and ge (Go: text/template/funcs.go; doc "Functions", comparison).

Values of different kinds are not compared but refused; only whole numbers are, signed or not.
"""

from conduit.webhook.template.errors import Failure
from conduit.webhook.template.formatting import shown
from conduit.webhook.template.limits import Budget
from conduit.webhook.template.octets import octets
from conduit.webhook.template.values import Kind, is_nil, kind_of, type_name

_NUMBERS = (Kind.INT, Kind.UINT)


def equal(budget: Budget, first: object, *others: object) -> bool:
    """Tell whether the first is equal to any of the others."""
    if not others:
        raise Failure("missing argument for comparison")
    return any(_equal(budget, first, other) for other in others)


def unequal(budget: Budget, first: object, second: object) -> bool:
    """Tell whether two values differ."""
    return not equal(budget, first, second)


def less(budget: Budget, first: object, second: object) -> bool:
    """Tell whether the first comes before the second."""
    kind, other = kind_of(first), kind_of(second)
    if Kind.OTHER in (kind, other):
        raise Failure("invalid type for comparison")
    if kind is not other and not (kind in _NUMBERS and other in _NUMBERS):
        raise _incompatible(first, second)
    if kind is Kind.BOOL:
        raise Failure("invalid type for comparison")
    if isinstance(first, str) and isinstance(second, str):
        return _comes_before(budget, first, second)
    if isinstance(first, int | float) and isinstance(second, int | float):
        return first < second
    raise Failure("invalid type for comparison")


def less_or_equal(budget: Budget, first: object, second: object) -> bool:
    """Tell whether the first does not come after the second."""
    return less(budget, first, second) or equal(budget, first, second)


def greater(budget: Budget, first: object, second: object) -> bool:
    """Tell whether the first comes after the second."""
    return not less_or_equal(budget, first, second)


def greater_or_equal(budget: Budget, first: object, second: object) -> bool:
    """Tell whether the first does not come before the second."""
    return not less(budget, first, second)


def _equal(budget: Budget, first: object, second: object) -> bool:
    kind, other = kind_of(first), kind_of(second)
    if kind is not other and not (kind in _NUMBERS and other in _NUMBERS):
        if is_nil(first) or is_nil(second):
            return False
        raise _incompatible(first, second)
    if kind is Kind.OTHER:
        return _equal_nil(budget, first, second)
    if isinstance(first, str):
        budget.read(len(first))
    return first == second


def _equal_nil(budget: Budget, first: object, second: object) -> bool:
    """Compare lists and maps, which are comparable to nil only."""
    if is_nil(first) or is_nil(second):
        return is_nil(first) and is_nil(second)
    names = type_name(first), type_name(second)
    if names[0] == names[1]:
        raise Failure(f"non-comparable type {shown(second, budget, 's')}: {names[1]}")
    texts = shown(first, budget, "s"), shown(second, budget)
    raise Failure(f"non-comparable types {texts[0]}: {names[0]}, {names[1]}: {texts[1]}")


def _comes_before(budget: Budget, first: str, second: str) -> bool:
    budget.read(min(len(first), len(second)))
    if first.isascii() and second.isascii():
        return first < second
    return octets(first) < octets(second)


def _incompatible(first: object, second: object) -> Failure:
    names = f"{type_name(first)} and {type_name(second)}"
    return Failure(f"incompatible types for comparison: {names}")
