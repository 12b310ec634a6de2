"""A template: compiled once, rendered for each mail."""

from collections.abc import Mapping
from dataclasses import dataclass

from conduit.webhook.template.errors import TemplateError
from conduit.webhook.template.evaluation import render
from conduit.webhook.template.functions import FUNCTIONS
from conduit.webhook.template.limits import DEFAULT, Limits
from conduit.webhook.template.nodes import Nodes
from conduit.webhook.template.parser import parse

NAME = "payload"
"""What errors call the template itself, beside those that it defines."""


@dataclass(frozen=True, slots=True)
class Template:
    """What a text was compiled to. Rendering changes nothing, so that threads may share it."""

    text: str
    trees: Mapping[str, Nodes]

    def render(self, data: object, limits: Limits = DEFAULT) -> str:
        """Return the output for some data, as of `template_data`, or raise TemplateError."""
        return render(self.trees, NAME, self.text, data, limits)


def compile_template(text: str, limits: Limits = DEFAULT) -> Template:
    """Return the template that a text says, or raise TemplateError."""
    if len(text) > limits.text:
        raise TemplateError(f"the template has more than {limits.text} characters", 1, 1)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TemplateError("the template is not valid Unicode", 1, 1) from None
    try:
        return Template(text, parse(NAME, text, FUNCTIONS, limits))
    except RecursionError:
        raise TemplateError("the template is nested too deeply", 1, 1) from None
