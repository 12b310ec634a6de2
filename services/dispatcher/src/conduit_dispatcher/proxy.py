"""The operator's egress proxy, as its setting says."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_FORM = "an egress proxy is http://[user:password@]host[:port] or https://…"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, how it is spoken to, and the credentials that it wants, if any.

    One that `resolves` looks endpoints' names up itself, and is who must keep calls off private
    networks.
    """

    host: str
    port: int
    tls: bool
    authorization: str | None = field(default=None, repr=False)
    resolves: bool = False

    @classmethod
    def of_url(cls, url: str, *, resolves: bool = False) -> "Proxy":
        """Read a URL, or raise ValueError, which repeats nothing of it: there is a password in it.

        User and password go together, for only a password is masked in the log. Reserved characters
        in them are percent-encoded.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(_FORM) from None
        if not _is_proxy(url, parts) or port == 0:
            raise ValueError(_FORM)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", port or _PORTS[parts.scheme]
        return cls(host, port, tls, _authorization(parts), resolves)


def _is_proxy(url: str, parts: SplitResult) -> bool:
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    if parts.scheme not in _PORTS or not parts.hostname:
        return False
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return False
    return bool(parts.username) == bool(parts.password)


def _authorization(parts: SplitResult) -> str | None:
    """Return what Proxy-Authorization says (RFC 7617)."""
    if not parts.username or not parts.password:
        return None
    user, password = unquote(parts.username), unquote(parts.password)
    if ":" in user:
        raise ValueError("the name of an egress proxy's user has no colon")
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
