"""Which addresses may be called: never a private, local or otherwise special network.

The list is our own, from the IANA special-purpose registries (RFC 6890 and what updates it),
because `ipaddress.is_global` passes several ranges that reach private hosts.
"""

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_DENIED = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/3",  # not global unicast (RFC 4291 §2.4), nor are the next two
        "4000::/2",
        "8000::/1",
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local-use NAT64
        "100::/64",  # discard
        "100:0:0:1::/64",  # dummy prefix
        "2001::/23",  # IETF protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFDFFFFFF  # RFC 5214 §6.1; the bit left out may be set
_HEXADECIMAL = re.compile("0[xX][0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Egress:
    """The rules for outgoing calls. `allowed_networks` opens parts of what is denied."""

    allow_http: bool = False
    allowed_networks: tuple[IPNetwork, ...] = ()

    def allows_scheme(self, scheme: str) -> bool:
        """Whether this scheme may be used: https, and http where the operator opened it."""
        return scheme == "https" or (scheme == "http" and self.allow_http)

    def allows(self, address: str) -> bool:
        """Whether a socket may be opened to this IP address, whatever form it has."""
        return self._permits(ip_address(address.partition("%")[0]))

    def allows_host(self, host: str) -> bool:
        """Whether a URL's host may be called, as far as its text tells.

        The addresses of a name are judged when it is called. What is no name either, but passes
        for an address with some programs (127.1, 0x7f.1, 2130706433), may not be called at all.
        """
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
            return self.allows("127.0.0.1") or self.allows("::1")
        try:
            return self.allows(host)
        except ValueError:
            return not _ends_in_a_number(name)

    def _permits(self, address: IPAddress) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            return self._permits(address.ipv4_mapped)
        embedded = _embedded(address)
        if embedded is not None and not self._permits(embedded):
            return False
        if any(address in network for network in self.allowed_networks):
            return True
        return not any(address in network for network in _DENIED)


def _embedded(address: IPAddress) -> IPv4Address | None:
    """Return the IPv4 address that packets to this IPv6 address may end up at."""
    if isinstance(address, IPv4Address):
        return None
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in (_NAT64, _TRANSLATED)):
        return last
    if int(address) >> 32 & _ISATAP_MASK == _ISATAP:
        return last
    return address.sixtofour


def _ends_in_a_number(name: str) -> bool:
    """Whether a host is an IPv4 address or an attempt at one (WHATWG URL, "ends in a number")."""
    last = name.rpartition(".")[2]
    return last.isdecimal() or _HEXADECIMAL.fullmatch(last) is not None
