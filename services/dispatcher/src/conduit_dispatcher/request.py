"""The head of a call, as octets."""

import re
from collections.abc import Mapping
from functools import lru_cache

from conduit import __version__
from conduit_dispatcher.failures import InvalidCall
from conduit_dispatcher.target import Target

USER_AGENT = f"Conduit/{__version__}"

_KNOWN = 10_000
"""Names of headers that are remembered, with what becomes of them."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\t")})

# What frames the request, or concerns the connection alone (RFC 9110 §7.6.1).
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OWN = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
_OWN_LINES = "".join(f"{name}: {value}\r\n" for name, value in _OWN.items())
_OWN_NAMES = frozenset(name.lower() for name in _OWN)


def request_head(target: Target, headers: Mapping[str, str], length: int) -> bytes:
    """Return the head of a POST of so many octets, or raise InvalidCall.

    Users choose names and values. They are checked when they are saved, and here again: one that
    became lines of its own would be a request of its own, on a connection that others use too.
    """
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if _is_theirs(name)]
    text = f"{''.join(lines)}{_OWN_LINES}Content-Length: {length}\r\n\r\n"
    fields = text.encode(errors="replace")
    ends = len(lines) + len(_OWN) + 2
    if len(fields.translate(None, _CONTROLS)) != len(fields) - 2 * ends:  # CR LF, and no other
        raise InvalidCall("a header's value holds what no header may")
    return target.begin + fields


@lru_cache(_KNOWN)
def _is_theirs(name: str) -> bool:
    """Whether a header is sent as it is given: of those that are ours, ours are sent."""
    lowered = name.lower()
    if lowered in _FRAMING or not _TOKEN.fullmatch(name):
        raise InvalidCall(f"the header {name[:100]!r} cannot be sent")
    return lowered not in _OWN_NAMES
