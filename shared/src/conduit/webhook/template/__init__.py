"""Go's text/template, for the bodies that users shape themselves: pure, and bounded in all it does.

The language is Go's (https://pkg.go.dev/text/template), its builtin functions and `toJson`. Data
are what JSON knows, seen as Go sees them in an `any`: maps with string keys, lists, strings (UTF-8,
measured in octets), whole numbers as int, others as float64, booleans and nil.

    text → lexer → parser → nodes → evaluation (functions, comparison, escapes, formatting) → text
"""

from conduit.webhook.template.data import template_data
from conduit.webhook.template.errors import TemplateError
from conduit.webhook.template.limits import DEFAULT, Limits
from conduit.webhook.template.template import Template, compile_template

__all__ = ["DEFAULT", "Limits", "Template", "TemplateError", "compile_template", "template_data"]
