"""Where a request came from: whose address it is, and whether TLS protected it.

Proxies say so in X-Forwarded-For and X-Forwarded-Proto. So could anybody, which is why these count
only when the connection is a trusted proxy's, and Forwarded (RFC 7239) never does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from conduit.settings import Network

Address = IPv4Address | IPv6Address

_FOR = "X-Forwarded-For"
_PROTO = "X-Forwarded-Proto"


@dataclass(frozen=True, slots=True)
class Origin:
    """`client` is an IP address, or "unknown" on a socket that has none."""

    client: str
    secure: bool


ORIGIN = web.RequestKey("origin", Origin)
"""Where the request came from, for throttles, the audit log and the log."""


def origin_of(request: web.BaseRequest, proxies: Sequence[Network]) -> Origin:
    """Return the client, past all trusted proxies, and whether it spoke https to the last one."""
    peer = _address(request.remote or "")
    if peer is None or not _is_of(peer, proxies):
        return Origin(client=str(peer or "unknown"), secure=request.secure)
    protocols = ",".join(request.headers.getall(_PROTO, [])).split(",")
    client = peer
    for address in _forwarded(request):
        if address is None:
            break  # what a trusted proxy has not understood, and nothing left of it is its word
        client = address
        if not _is_of(client, proxies):
            break
    return Origin(client=str(client), secure=protocols[-1].strip().lower() == "https")


def _forwarded(request: web.BaseRequest) -> Iterator[Address | None]:
    """Go from what the nearest proxy saw to what the client may have invented."""
    items = ",".join(request.headers.getall(_FOR, [])).split(",")
    return map(_address, reversed(items))


def _address(text: str) -> Address | None:
    """Read an address, which some proxies write with its port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_of(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
