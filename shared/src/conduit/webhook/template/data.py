"""What templates see of a payload: its fields, by their JSON keys and by the names Go would give.

`.message_id` and `.MessageID` are the same, and so on at every level. A field of a mail that this
mail does not have is empty, as it would be in a Go struct; any other name has no value. Headers are
found whatever their capitals, since those are the sender's choice. What a template prints, counts
or loops over is only what is there, by its JSON keys.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

import orjson

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")

_LONGEST_NAME = 64

_MAILBOX = {"name": "", "address": ""}
_AUTHENTICATION: Mapping[str, Mapping[str, object]] = {
    "spf": {"result": "", "scope": "", "domain": "", "reason": ""},
    "dmarc": {"result": "", "domain": "", "policy": "", "reason": ""},
    "arc": {"result": "", "domain": "", "instances": 0, "reason": ""},
}
_SIGNATURE = {"result": "", "domain": "", "selector": "", "algorithm": "", "reason": ""}
_ATTACHMENT = dict.fromkeys(
    ("filename", "content_id", "content", "url", "url_expires_at", "reason"), ""
)


def template_data(payload: Mapping[str, Any]) -> Mapping[str, object]:
    """Return a payload, as `conduit.webhook.payload.fields` makes it, for `Template.render`."""
    plain = orjson.loads(orjson.dumps(payload, option=orjson.OPT_UTC_Z))
    seen = {key: _seen(value) for key, value in plain.items()}
    for key in ("attachments", "authentication", "headers"):
        if key in plain:
            seen[key] = _OF_KEY[key](plain[key])
    return _Fields(seen, _zero())


def _zero() -> dict[str, object]:
    texts = dict.fromkeys(("subject", "date", "text", "stripped_text", "html", "tag"), "")
    lists = dict.fromkeys(("header_to", "cc", "reply_to", "attachments", "notes"), ())
    return {
        **texts,
        **lists,
        "headers": {},
        "header_from": _Fields({}, _MAILBOX),
        "authentication": _authentication({}),
    }


def _seen(value: object) -> object:
    if isinstance(value, dict):
        return _Fields({key: _seen(element) for key, element in value.items()}, {})
    return [_seen(element) for element in value] if isinstance(value, list) else value


def _attachments(attachments: list[dict[str, object]]) -> object:
    return [_Fields(attachment, _ATTACHMENT) for attachment in attachments]


def _authentication(found: dict[str, Any]) -> object:
    """Return what was found out; where nothing was asked, all of it is empty."""
    zero = {key: _Fields({}, of) for key, of in _AUTHENTICATION.items()}
    seen: dict[str, object] = {
        key: _Fields(found[key], of) for key, of in _AUTHENTICATION.items() if key in found
    }
    if "dkim" in found:
        seen["dkim"] = [_Fields(each, _SIGNATURE) for each in found["dkim"]]
    return _Fields(seen, {**zero, "dkim": ()})


class _Fields(dict[str, object]):
    """A map that knows its keys by Go's names, too, and what is empty when it is not there."""

    def __init__(self, fields: Mapping[str, object], zero: Mapping[str, object]) -> None:
        super().__init__(fields)
        self._zero = zero

    def __missing__(self, name: str) -> object:
        if len(name) > _LONGEST_NAME:
            raise KeyError(name)
        key = _json_key(name)
        return self[key] if key != name and key in self else self._zero[key]


class _Headers(dict[str, object]):
    """A map that finds its keys whatever their capitals."""

    def __missing__(self, name: str) -> object:
        return self._lower_case[name.lower()]

    @cached_property
    def _lower_case(self) -> dict[str, object]:
        return {key.lower(): value for key, value in reversed(self.items())}


_OF_KEY: Mapping[str, Callable[[Any], object]] = {
    "attachments": _attachments,
    "authentication": _authentication,
    "headers": _Headers,
}


@lru_cache(maxsize=1024)
def _json_key(name: str) -> str:
    """Return the JSON key of a Go name: `MessageID` is message_id."""
    return "_".join(_WORD.findall(name)).lower()
