"""The body of a webhook call in the shape that its owner's template gives it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from conduit.errors import ConduitError
from conduit.webhook.template import Template, TemplateError, compile_template, template_data

_COMPILED = 500
"""Templates that are kept compiled; of 64 KiB at most, and far less as a rule."""


class ShapeError(ConduitError):
    """A template gives no body for a mail, now or later; the text says why to its owner."""


def shaped(template: str, payload: Mapping[str, Any], limit: int | None = None) -> bytes:
    """Return the JSON that a template makes of `payload.fields`, or raise ShapeError.

    Its output may have `limit` octets: nothing of it can be left out, as only its owner knows what
    may be missing.
    """
    try:
        text = _compiled(template).render(template_data(payload))
    except TemplateError as error:
        raise ShapeError(str(error)) from None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ShapeError(
            f"the template's output is not JSON: {error.msg} (line {error.lineno} of the output, "
            f"column {error.colno}); toJson writes a value as JSON"
        ) from None
    body = text.encode()
    if limit is not None and len(body) > limit:
        raise ShapeError(
            f"the template's output has {len(body)} octets, and the body of a call is limited to "
            f"{limit}; leave something out, such as the contents of attachments"
        )
    return body


@lru_cache(maxsize=_COMPILED)
def _compiled(text: str) -> Template:
    return compile_template(text)
