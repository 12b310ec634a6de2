"""Templates made at random, most of them valid: the same ones for the same seed.

What they may not have in them is what differs on purpose (tests/data/templates/differences.json).
"""

import random
from collections.abc import Callable

from tests.support.go_templates import Case

DATA = {
    "s": "abc",
    "e": "",
    "u": "hé本",
    "q": "a\"b\\c\n<&>'",
    "n": 3,
    "z": 0,
    "neg": -7,
    "f": 1.5,
    "big": 1e21,
    "t": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "strs": ["x", "", "z"],
    "mixed": [1, "two", None, 2.5, [1], {"k": "v"}],
    "el": [],
    "m": {"a": 1, "b": "two", "c": {"d": [1, 2]}},
    "em": {},
}
_LITERALS = (
    *("0", "1", "-2", "007", "0x1F", "'a'", "1.5", "-0.25", "1e3", "2i", "1+2i", "true", "false"),
    *("nil", '""', '"abc"', '"é\\n"', "`raw`", "\"<a href='x'>\"", '"%d"', "1_000", "9", "'\\n'"),
)
_FIELDS = (
    *(".s", ".e", ".u", ".q", ".n", ".z", ".neg", ".f", ".big", ".t", ".no", ".nil", ".l", ".strs"),
    *(".mixed", ".el", ".m", ".em", ".m.a", ".m.b", ".m.c", ".m.c.d", ".m.x", ".missing", ".", "$"),
    *("$.n", "$.m.c.d", "$.strs", ".a", ".d", ".n.x"),
)
_FUNCTIONS = (
    *("len", "not", "html", "js", "urlquery", "print", "println", "toJson"),
    *("and", "or", "eq", "ne", "lt", "le", "gt", "ge", "index", "call"),
)
_FLAGS = ("", "", "", "-", "+", "#", "0", " ", "+#", "-0", "# ")
_SIZES = ("", "", "", "5", "12", ".2", "8.3", ".0", "1", ".")
_VERBS = "vdsqxXtTcbogeEfFGUO%zw"
_TEXTS = ("", " ", "\n", "text", " a ", "\t\n b", "é")


class Writer:
    """Writes one template; what it may use depends on where it stands."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._variables: list[str] = []
        self._loops = 0
        self._defined: list[str] = []

    def template(self) -> str:
        """Return a whole template."""
        heads = [self._definition(name) for name in ("one", "two") if self._chance.random() < 0.2]
        return "".join(heads) + self._body(3)

    def _definition(self, name: str) -> str:
        outside, self._variables = self._variables, []
        text = f'{{{{define "{name}"}}}}{self._body(1)}{{{{end}}}}'
        self._variables = outside
        self._defined.append(name)
        return text

    def _body(self, depth: int) -> str:
        known = len(self._variables)
        text = "".join(self._item(depth) for _ in range(self._chance.randint(1, 3)))
        del self._variables[known:]
        return text

    def _item(self, depth: int) -> str:
        pick = self._chance.choice
        kinds: list[Callable[[int], str]] = [self._text, self._shown, self._shown, self._declared]
        if depth:
            kinds += [self._if, self._with, self._range, self._range, self._block]
        if self._variables:
            kinds.append(self._assigned)
        if self._loops:
            kinds.append(self._jump)
        if self._defined:
            kinds.append(self._called)
        return pick(kinds)(depth)

    def _action(self, text: str) -> str:
        left = self._chance.choice(("{{", "{{", "{{", "{{- ", "{{ "))
        right = self._chance.choice(("}}", "}}", "}}", " -}}", " }}"))
        return f"{left}{text}{right}"

    def _text(self, _: int) -> str:
        comment = self._action("/* c */") if self._chance.random() < 0.1 else ""
        return self._chance.choice(_TEXTS) + comment

    def _shown(self, _: int) -> str:
        return self._action(self._pipeline(2))

    def _declared(self, _: int) -> str:
        value = self._pipeline(1)
        name = self._declare()
        return self._action(f"{name} := {value}")

    def _declare(self) -> str:
        name = f"$v{self._chance.randint(0, 3)}"
        self._variables.append(name)
        return name

    def _assigned(self, _: int) -> str:
        return self._action(f"{self._chance.choice(self._variables)} = {self._pipeline(1)}")

    def _jump(self, _: int) -> str:
        jump = self._action(self._chance.choice(("break", "continue")))
        return self._action(f"if {self._pipeline(1)}") + jump + self._action("end")

    def _called(self, _: int) -> str:
        return self._action(f'template "{self._chance.choice(self._defined)}" {self._pipeline(1)}')

    def _block(self, depth: int) -> str:
        outside, self._variables, loops = self._variables, [], self._loops
        self._loops = 0
        name, value = self._chance.choice(("three", "four")), self._chance.choice(_FIELDS)
        text = self._action(f'block "{name}" {value}') + self._body(depth - 1) + self._action("end")
        self._variables, self._loops = outside, loops
        return text

    def _if(self, depth: int) -> str:
        return self._chain("if", depth)

    def _with(self, depth: int) -> str:
        return self._chain("with", depth)

    def _chain(self, word: str, depth: int) -> str:
        known = len(self._variables)
        text = self._action(f"{word} {self._control()}") + self._body(depth - 1)
        if self._chance.random() < 0.3:
            text += self._action(f"else {word} {self._control()}") + self._body(depth - 1)
        if self._chance.random() < 0.5:
            text += self._action("else") + self._body(depth - 1)
        del self._variables[known:]
        return text + self._action("end")

    def _control(self) -> str:
        value = self._pipeline(1)
        return f"{self._declare()} := {value}" if self._chance.random() < 0.2 else value

    def _range(self, depth: int) -> str:
        known = len(self._variables)
        value = self._chance.choice((".l", ".strs", ".m", ".mixed", ".el", "3", self._pipeline(1)))
        names = [self._declare() for _ in range(self._chance.randint(0, 2))]
        head = f"range {', '.join(names)} := {value}" if names else f"range {value}"
        self._loops += 1
        text = self._action(head) + self._body(depth - 1)
        self._loops -= 1
        if self._chance.random() < 0.3:
            text += self._action("else") + self._body(depth - 1)
        del self._variables[known:]
        return text + self._action("end")

    def _pipeline(self, depth: int) -> str:
        commands = [self._command(depth)]
        while self._chance.random() < 0.2:
            commands.append(self._chance.choice(_FUNCTIONS))
        return " | ".join(commands)

    def _command(self, depth: int) -> str:
        if not depth or self._chance.random() < 0.4:
            return self._operand(depth)
        if self._chance.random() < 0.35:
            return self._printf(depth)
        count = self._chance.choice((1, 1, 2, 2, 2, 3))
        arguments = " ".join(self._operand(depth - 1) for _ in range(count))
        return f"{self._chance.choice(_FUNCTIONS)} {arguments}"

    def _printf(self, depth: int) -> str:
        directives = [
            f"%{self._chance.choice(_FLAGS)}{self._chance.choice(_SIZES)}"
            f"{self._chance.choice(_VERBS)}"
            for _ in range(self._chance.choice((1, 1, 1, 2)))
        ]
        arguments = " ".join(self._operand(depth - 1) for _ in directives)
        return f'printf "{"|".join(directives)}" {arguments}'

    def _operand(self, depth: int) -> str:
        chance = self._chance.random()
        if depth and chance < 0.2:
            return f"({self._pipeline(depth - 1)})"
        if self._variables and chance < 0.35:
            return self._chance.choice(self._variables)
        return self._chance.choice(_LITERALS if chance < 0.55 else _FIELDS)


def made_cases(seed: int, count: int) -> list[Case]:
    """Return templates with their data."""
    chance = random.Random(seed)
    texts = [Writer(chance).template() for _ in range(count)]
    return [{"name": text, "template": text, "data": DATA} for text in texts]
