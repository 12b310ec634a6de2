"""Which URLs webhooks may call, as far as their text tells.

Where a name leads is decided by the egress guard at each call, on the socket that is opened.
"""

import re
from ipaddress import IPv6Address

from yarl import URL

from conduit.webhook.egress import Egress
from conduit_api.errors import Unprocessable

LONGEST = 2048  # characters

# Visible ASCII without the backslash, which some parsers take for a slash (RFC 3986 §2 has none).
_CHARACTERS = re.compile(r"[!-\[\]-~]+")
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def check_target_url(text: str, egress: Egress) -> None:
    """Raise Unprocessable unless the text is a URL that webhooks may call."""
    if len(text) > LONGEST:
        raise _refused(f"A URL may have {LONGEST} characters at most.")
    if not _CHARACTERS.fullmatch(text):
        raise _refused("A URL has no spaces, and its host name stands in ASCII (xn--…).")
    url = _parsed(text)
    if not egress.allows_scheme(url.scheme):
        raise _refused("The URL must begin with https://.")
    authority = re.split("[/?#]", text.partition("//")[2])[0]
    host = url.raw_host or ""
    if not _is_host(host, literal="[" in authority):
        raise _refused("The URL has no valid host.")
    if not egress.allows_host(host):
        raise _refused("The URL leads to an address that may not be called.")
    if "@" in authority:
        raise _refused("The URL must hold no user name or password; use custom_headers.")
    if "#" in text:
        raise _refused("The URL must have no fragment.")


def _parsed(text: str) -> URL:
    """Read the URL as the HTTP client will."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise _refused("This is not a URL.") from None
    if port == 0:
        raise _refused("The URL's port is not valid.")
    return url


def _is_host(host: str, *, literal: bool) -> bool:
    if not literal:
        return _NAME.fullmatch(host) is not None
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _refused(why: str) -> Unprocessable:
    return Unprocessable("invalid_target_url", f"target_url: {why}")
