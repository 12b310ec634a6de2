"""Which headers a user may add to the webhook calls."""

import re
from collections.abc import Mapping

from conduit_api.errors import Unprocessable

MOST = 50  # headers
LONGEST_NAME = 128  # characters
LONGEST_VALUE = 4096  # characters
LARGEST = 16 * 1024  # characters in all; many servers take no more

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")  # RFC 9110 §5.5, visible ASCII

# Conduit's own, those that frame the message, and those of one connection only (RFC 9110 §7.6.1).
_RESERVED = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_RESERVED_PREFIXES = ("x-conduit-", "webhook-")


def check_custom_headers(headers: Mapping[str, str]) -> None:
    """Raise Unprocessable unless all of these may be sent. The text never has a value."""
    if len(headers) > MOST:
        raise _refused(f"At most {MOST} headers can be added.")
    if len({name.lower() for name in headers}) < len(headers):
        raise _refused("A name occurs twice; names are the same in upper and lower case.")
    for name, value in headers.items():
        _check_name(name)
        _check_value(name, value)
    if sum(len(name) + len(value) for name, value in headers.items()) > LARGEST:
        raise _refused(f"Names and values may have {LARGEST} characters in all.")


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not _TOKEN.fullmatch(name):
        raise _refused(f"{name[:LONGEST_NAME]!r} is not a header name.")
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        raise _refused(f"{name} cannot be set; Conduit sets it, or it concerns the connection.")


def _check_value(name: str, value: str) -> None:
    if len(value) > LONGEST_VALUE:
        raise _refused(f"The value of {name} may have {LONGEST_VALUE} characters at most.")
    if not _VALUE.fullmatch(value):
        raise _refused(f"The value of {name} must be visible ASCII, without spaces around it.")


def _refused(why: str) -> Unprocessable:
    return Unprocessable("invalid_custom_headers", f"custom_headers: {why}")
