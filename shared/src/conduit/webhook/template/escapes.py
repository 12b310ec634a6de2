"""html, js and urlquery (Go: text/template/funcs.go, HTMLEscape, JSEscape, net/url.QueryEscape)."""

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from conduit.webhook.template.limits import Budget
from conduit.webhook.template.octets import octets

_PIECE = 4_096
_LOOKED_AT_PER_STEP = 8

_HTML = (
    *(("&", "&amp;"), ('"', "&#34;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;")),
    ("\0", "\ufffd"),
)
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}
_JS_SPECIAL = re.compile(r"[\x00-\x1f\\'\"<>&=]|[^\x00-\x7f]+")


Escape = Callable[[str], tuple[str, int]]
"""Returns a text changed, and how many parts of it had to be looked at one by one."""


def in_pieces(escape: Escape, text: str, budget: Budget) -> str:
    """Return a changed text; what it costs is spent on the way, however much the text grows."""
    pieces = []
    for start in range(0, len(text), _PIECE):
        before = text[start : start + _PIECE]
        piece, looked_at = escape(before)
        budget.make(len(piece))
        if looked_at:
            budget.step((looked_at + len(piece) - len(before)) // _LOOKED_AT_PER_STEP)
        pieces.append(piece)
    return "".join(pieces)


def html(text: str) -> tuple[str, int]:
    """Escape what is special in HTML."""
    for character, entity in _HTML:
        text = text.replace(character, entity)
    return text, 0


def js(text: str) -> tuple[str, int]:
    """Escape what is special in a string of JavaScript, and what cannot be printed."""
    return _JS_SPECIAL.subn(_js_escape, text)


def urlquery(text: str) -> tuple[str, int]:
    """Escape what is special in the query of a URL."""
    return quote_plus(octets(text)), 0


def _js_escape(match: re.Match[str]) -> str:
    run = match[0]
    if run in _JS:
        return _JS[run]
    if run.isprintable():
        return run
    return "".join(_js_character(character) for character in run)


def _js_character(character: str) -> str:
    stray = "\udc80" <= character <= "\udcff"
    return character if stray or character.isprintable() else f"\\u{ord(character):04X}"
