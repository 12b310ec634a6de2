"""Which addresses may be called."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.webhook.egress import Egress

CLOSED = Egress()


def opened(*networks: str) -> Egress:
    """Return an egress for which an operator has opened these networks."""
    return Egress(allowed_networks=tuple(map(ip_network, networks)))


SPECIAL_V4 = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.255",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
]
PUBLIC_V4 = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
]
SPECIAL_V6 = [
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:0:7f00:1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "100:0:0:1::1",
    "200::1",
    "400::1",
    "1000::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:db8::1",
    "2002::1",
    "2002:808:808::1",
    "2002:a00:1::1",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "c000::1",
    "e000::1",
    "fc00::1",
    "fdff:ffff::1",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]
PUBLIC_V6 = [
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "3ffe::1",
    "2606:4700:4700::1111%eth0",
]


@pytest.mark.parametrize("address", SPECIAL_V4 + SPECIAL_V6)
def test_special_addresses_are_denied(address: str) -> None:
    assert not CLOSED.allows(address)


@pytest.mark.parametrize("address", PUBLIC_V4 + PUBLIC_V6)
def test_public_addresses_are_allowed(address: str) -> None:
    assert CLOSED.allows(address)


@pytest.mark.parametrize("address", SPECIAL_V4)
def test_no_form_hides_a_special_address(address: str) -> None:
    number = int(IPv4Address(address))
    forms = {
        "mapped": 0xFFFF << 32 | number,
        "translated": 0xFFFF << 48 | number,
        "compatible": number,
        "NAT64": 0x64FF9B << 96 | number,
        "6to4": 0x2002 << 112 | number << 80 | 1,
        "Teredo": 0x20010000 << 96 | number << 64 | (number ^ 0xFFFFFFFF),
    }
    for name, form in forms.items():
        assert not CLOSED.allows(str(IPv6Address(form))), name


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_mapped_addresses_are_what_they_hold(address: str) -> None:
    assert CLOSED.allows(f"::ffff:{address}")


def test_an_operator_opens_networks_and_no_more() -> None:
    local = opened("127.0.0.0/8", "::1/128")
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "8.8.8.8"):
        assert local.allows(address)
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "::2", "fe80::1", "64:ff9b::127.0.0.1"):
        assert not local.allows(address)


def test_an_opened_gateway_leads_only_where_its_address_may_be_called() -> None:
    gateways = opened("64:ff9b::/96", "2002::/16", "::ffff:0:0:0/96")
    for public in ("64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:0:8.8.8.8"):
        assert gateways.allows(public)
    for private in ("64:ff9b::10.0.0.1", "2002:a00:1::1", "::ffff:0:169.254.169.254"):
        assert not gateways.allows(private)
    assert opened("64:ff9b::/96", "10.0.0.0/8").allows("64:ff9b::10.0.0.1")


def test_link_local_can_be_opened_whatever_the_scope() -> None:
    assert opened("fe80::/10").allows("fe80::1%eth0")


@pytest.mark.parametrize(
    ("scheme", "allow_http", "allowed"),
    [
        ("https", False, True),
        ("https", True, True),
        ("http", False, False),
        ("http", True, True),
        ("ftp", True, False),
        ("", True, False),
        ("HTTP", True, False),
    ],
)
def test_schemes(scheme: str, allow_http: bool, allowed: bool) -> None:
    assert Egress(allow_http=allow_http).allows_scheme(scheme) == allowed


@given(st.ip_addresses())
def test_nothing_is_allowed_that_python_takes_for_private(
    address: IPv4Address | IPv6Address,
) -> None:
    if CLOSED.allows(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_mapping_changes_nothing(address: IPv4Address) -> None:
    mapped = ip_address(0xFFFF << 32 | int(address))
    assert CLOSED.allows(str(mapped)) == CLOSED.allows(str(address))
