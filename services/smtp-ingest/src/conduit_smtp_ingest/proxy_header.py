"""The PROXY protocol's header, versions 1 and 2, by its specification (proxy-protocol.txt).

aiosmtpd's reader of it is made for a stream of its own, takes version 1's line up to the stream's
limit instead of 107 octets, and reports the address in a LOCAL header, which must be ignored.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from conduit.model.remote_address import IPAddress, unmapped
from conduit.settings import Network

LONGEST = 16 * 1024
"""Octets of a header. Version 2 could announce 64 KiB; what comes after the addresses (names, a
client's certificate) takes a few."""

_LINE = 107  # octets of version 1's line with its end, §2.1
_FIXED = 16  # octets of version 2's header before its addresses, §2.2
_START_1 = b"PROXY "
_START_2 = b"\r\n\r\n\x00\r\nQUIT\n"

_LOCAL, _PROXY = 0x20, 0x21  # version and command
_FAMILIES = frozenset(16 * family + transport for family in range(4) for transport in range(3))
_TCP4, _TCP6 = 0x11, 0x21
_BLOCKS = {_TCP4: 12, _TCP6: 36}  # octets of two addresses and two ports

_PORT = rb"(0|[1-9][0-9]{0,4})"
_line = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) "
    + _PORT
    + b" "
    + _PORT
    + rb")\r\n"
)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """So far it is one; more octets are needed."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Never a header, whatever follows; the text says why."""

    problem: str


@dataclass(frozen=True, slots=True)
class Header:
    """Who is behind the proxy, and how many octets the header has, after which the session begins.

    Without a `source` the proxy speaks for itself (a health check), or knows of no IP address: the
    connection's own peer counts.
    """

    source: IPAddress | None
    octets: int


def is_proxy(peer: str, networks: Iterable[Network]) -> bool:
    """Whether connections from this address must begin with a header."""
    try:
        address = ip_address(peer)
    except ValueError:  # a socket without an address
        return False
    return any(address in network or unmapped(address) in network for network in networks)


def parse(buffer: bytes | bytearray) -> Incomplete | Header | Malformed:
    """Read the header that a connection begins with, from what has come of it so far."""
    if buffer.startswith(_START_1):
        return _line_header(buffer)
    if buffer.startswith(_START_2):
        return _binary_header(buffer)
    if buffer in (_START_1[: len(buffer)], _START_2[: len(buffer)]):
        return Incomplete()
    return Malformed("it begins with the signature of neither version")


def _line_header(buffer: bytes | bytearray) -> Incomplete | Header | Malformed:
    octets = buffer.find(b"\n", 0, _LINE) + 1
    if not octets:
        return Malformed("the line has no end") if len(buffer) >= _LINE else Incomplete()
    match = _line.fullmatch(buffer, 0, octets)
    if match is None or (match[1] and max(int(match[4]), int(match[5])) > 0xFFFF):
        return Malformed("this is not a line of version 1")
    if match[1] is None:
        return Header(None, octets)
    family = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        source, _ = (family(match[group].decode()) for group in (2, 3))
    except AddressValueError:
        return Malformed("an address is not of its family")
    return Header(unmapped(source), octets)


def _binary_header(buffer: bytes | bytearray) -> Incomplete | Header | Malformed:
    if len(buffer) < _FIXED:
        return Incomplete()
    octets = _FIXED + int.from_bytes(buffer[14:16])
    problem = _binary_problem(buffer[12], buffer[13], octets)
    if problem is not None:
        return Malformed(problem)
    if len(buffer) < octets:
        return Incomplete()
    return Header(_source(buffer) if buffer[12] == _PROXY else None, octets)


def _source(buffer: bytes | bytearray) -> IPAddress | None:
    """Return the source address of TCP; UDP and UNIX sockets are as unspecified ones (§2.2)."""
    if buffer[13] == _TCP4:
        return IPv4Address(bytes(buffer[16:20]))
    if buffer[13] == _TCP6:
        return unmapped(IPv6Address(bytes(buffer[16:32])))
    return None


def _binary_problem(command: int, family: int, octets: int) -> str | None:
    """Return what is wrong with the fixed part of a header; a family is ignored with LOCAL."""
    if command not in (_LOCAL, _PROXY):
        return "the version or command is unknown"
    if octets > LONGEST:
        return f"a header has at most {LONGEST} octets"
    if command == _PROXY and family not in _FAMILIES:
        return "the address family or protocol is unknown"
    if command == _PROXY and octets < _FIXED + _BLOCKS.get(family, 0):
        return "the header is too short for its addresses"
    return None
