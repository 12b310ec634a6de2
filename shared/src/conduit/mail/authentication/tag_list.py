"""Lists of tags such as `v=1; a=rsa-sha256; d=example.com` (RFC 6376 §3.2, RFC 8616)."""

import re

MAX_OCTETS = 16_384  # a signature of 4,096 bits that lists 100 fields takes 3,000
MAX_TAGS = 100

FWS = " \t\r\n"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SIGNATURE = re.compile(rb"((?:^|;)[ \t\r\n]*+b[ \t\r\n]*+=)[^;]*+")


class TagListError(ValueError):
    """Not a list of tags; the text says why, without quoting it."""


def read_tags(octets: bytes) -> dict[str, str]:
    """Return the tags in their order, values without white space around them."""
    if len(octets) > MAX_OCTETS:
        raise TagListError(f"it has more than {MAX_OCTETS} octets")
    specs = _text(octets).split(";", MAX_TAGS + 1)
    if not specs[-1].strip(FWS):
        specs.pop()
    if len(specs) > MAX_TAGS:
        raise TagListError(f"it has more than {MAX_TAGS} tags")
    tags: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(FWS)
        if not equals or not _NAME.fullmatch(name):
            raise TagListError("it is not a list of tags")
        if name in tags:
            raise TagListError("it has a tag twice")
        tags[name] = value.strip(FWS)
    return tags


def without_signature(octets: bytes) -> bytes:
    """Return the list with the value of `b=` and all white space around it cut out (§3.7)."""
    return _SIGNATURE.sub(rb"\1", octets, count=1)


def _text(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        raise TagListError("it is not in UTF-8") from error
    if _CONTROL.search(text):
        raise TagListError("it has control characters")
    return text
