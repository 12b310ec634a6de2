"""What a template may cost, so that nobody's template slows the others' calls or fills memory."""

from dataclasses import dataclass

from conduit.webhook.template.errors import Refusal

_CHARACTERS_PER_STEP = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one template. A step takes some microseconds, text costs one per 512 characters.

    `nesting` is of blocks and parentheses in the text, `depth` of what is under way while
    rendering; each level takes up to five frames of Python's stack. `width` is the largest width
    or precision in printf. `characters` is for all text that functions make, `output` for the
    result.
    """

    text: int = 64 * 1024
    templates: int = 100
    nesting: int = 40
    depth: int = 80
    steps: int = 100_000
    width: int = 1_000
    characters: int = 32 * 1024 * 1024
    output: int = 32 * 1024 * 1024


DEFAULT = Limits()


class Budget:
    """What is left of the limits in one rendering."""

    __slots__ = ("_characters", "_limits", "_output", "_steps")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = limits.steps
        self._characters = limits.characters
        self._output = limits.output

    def step(self, count: int = 1) -> None:
        """Spend steps."""
        self._steps -= count
        if self._steps < 0:
            raise Refusal(f"the template takes more than {self._limits.steps} steps")

    def read(self, characters: int) -> None:
        """Spend what it takes to go through a text."""
        if characters >= _CHARACTERS_PER_STEP:
            self.step(characters // _CHARACTERS_PER_STEP)

    def make(self, characters: int) -> None:
        """Spend what it takes to make a text."""
        self._characters -= characters
        if self._characters < 0:
            limit = self._limits.characters
            raise Refusal(f"the template makes more than {limit} characters of text")
        self.read(characters)

    def write(self, characters: int) -> None:
        """Spend output."""
        self._output -= characters
        if self._output < 0:
            limit = self._limits.output
            raise Refusal(f"the template's output has more than {limit} characters")

    def check_depth(self, depth: int) -> None:
        """Refuse what is nested too deeply."""
        if depth > self._limits.depth:
            raise Refusal(f"the template is nested more than {self._limits.depth} deep")

    def check_width(self, width: int) -> None:
        """Refuse a width or precision that only wastes memory."""
        if abs(width) > self._limits.width:
            limit = self._limits.width
            raise Refusal(f"widths and precisions beyond {limit} are not allowed")
