"""The variables of a template that is under way (doc "Variables")."""

from collections import defaultdict

from conduit.webhook.template.errors import Failure


class Cell:
    """A variable: declared once, assigned any number of times."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value


class Variables:
    """A stack of variables, found by name at the same cost however many there are."""

    def __init__(self, data: object) -> None:
        self._stack: list[Cell] = []
        self._named: defaultdict[str, list[Cell]] = defaultdict(list)
        self.declare("$", data)

    def declare(self, name: str, value: object) -> None:
        """Add a variable, which hides another one of the name."""
        cell = Cell(name, value)
        self._stack.append(cell)
        self._named[name].append(cell)

    def find(self, name: str) -> Cell:
        """Return the variable that was declared last by a name."""
        cells = self._named.get(name)
        if not cells:  # its declaration was in an argument that was not evaluated
            raise Failure(f"undefined variable: {name}")
        return cells[-1]

    def last(self, count: int) -> list[Cell]:
        """Return what was declared last."""
        return self._stack[len(self._stack) - count :]

    def mark(self) -> int:
        """Return the present height, for `pop`."""
        return len(self._stack)

    def pop(self, mark: int) -> None:
        """Forget what was declared since the mark."""
        while len(self._stack) > mark:
            cell = self._stack.pop()
            self._named[cell.name].pop()
