"""Addresses of who is connected, in the form in which they are compared and counted."""

from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address

IPAddress = IPv4Address | IPv6Address


def unmapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv4-mapped one (RFC 4291 §2.5.5.2) stands for."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def network_of(address: str) -> str:
    """Return what one client surely has for itself: an IPv4 address, or an IPv6 /64."""
    try:
        ip = unmapped(ip_address(address))
    except ValueError:  # a socket without an address
        return address
    return str(ip) if isinstance(ip, IPv4Address) else str(IPv6Interface((ip, 64)).network)
