"""Which addresses may be called."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import inet_aton

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


REGISTRY = [
    # IANA IPv4 Special-Purpose Address Registry (RFC 6890), and multicast (RFC 5771)
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/31",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    # IANA IPv6 Special-Purpose Address Registry, and multicast (RFC 4291)
    "::1/128",
    "::/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
]
"""The one that is missing, ::ffff:0:0/96, is what it holds: see the mapped addresses."""

NEIGHBOURS = [
    ("0.0.0.0/8", None, "1.0.0.0"),
    ("10.0.0.0/8", "9.255.255.255", "11.0.0.0"),
    ("100.64.0.0/10", "100.63.255.255", "100.128.0.0"),
    ("127.0.0.0/8", "126.255.255.255", "128.0.0.0"),
    ("169.254.0.0/16", "169.253.255.255", "169.255.0.0"),
    ("172.16.0.0/12", "172.15.255.255", "172.32.0.0"),
    ("192.0.0.0/24", "191.255.255.255", "192.0.1.0"),
    ("192.0.2.0/24", "192.0.1.255", "192.0.3.0"),
    ("192.31.196.0/24", "192.31.195.255", "192.31.197.0"),
    ("192.52.193.0/24", "192.52.192.255", "192.52.194.0"),
    ("192.88.99.0/24", "192.88.98.255", "192.88.100.0"),
    ("192.168.0.0/16", "192.167.255.255", "192.169.0.0"),
    ("192.175.48.0/24", "192.175.47.255", "192.175.49.0"),
    ("198.18.0.0/15", "198.17.255.255", "198.20.0.0"),
    ("198.51.100.0/24", "198.51.99.255", "198.51.101.0"),
    ("203.0.113.0/24", "203.0.112.255", "203.0.114.0"),
    ("224.0.0.0/3", "223.255.255.255", None),
    ("::/3", None, "2001:200::"),
    ("2001::/23", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
    ("2001:db8::/32", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
    ("2002::/16", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
    ("2620:4f:8000::/48", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"),
    ("3fff::/20", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
    ("4000::/2", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
]


@pytest.mark.parametrize("block", REGISTRY)
def test_all_of_a_special_block_is_denied(block: str) -> None:
    network = ip_network(block)
    middle = network[network.num_addresses // 2]
    for address in (network[0], middle, network[-1]):
        assert not CLOSED.allows(str(address)), address


@pytest.mark.parametrize(("block", "before", "after"), NEIGHBOURS)
def test_what_is_beside_a_special_block_is_not(
    block: str, before: str | None, after: str | None
) -> None:
    network = ip_network(block)
    for neighbour in (before, after):
        if neighbour is not None:
            assert ip_address(neighbour) not in network
            assert CLOSED.allows(neighbour), neighbour
    assert not CLOSED.allows(str(network[0]))
    assert not CLOSED.allows(str(network[-1]))


@pytest.mark.parametrize("address", SPECIAL_V4)
@pytest.mark.parametrize("identifier", [0x00005EFE, 0x02005EFE])
def test_an_isatap_router_is_not_led_to_a_special_address(address: str, identifier: int) -> None:
    number = 0x20014860 << 96 | identifier << 32 | int(IPv4Address(address))
    assert not CLOSED.allows(str(IPv6Address(number)))
    assert CLOSED.allows(str(IPv6Address(0x20014860 << 96 | identifier << 32 | 0x08080808)))


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_a_gateway_that_is_not_opened_leads_nowhere(address: str) -> None:
    number = int(IPv4Address(address))
    for form in (
        0x64FF9B << 96 | number,  # NAT64
        0x64FF9B0001 << 80 | number,  # local NAT64
        0xFFFF << 48 | number,  # translated
        number,  # compatible
        0x2002 << 112 | number << 80 | 1,  # 6to4
        0x20010000 << 96 | number ^ 0xFFFFFFFF,  # Teredo
    ):
        assert not CLOSED.allows(str(IPv6Address(form)))


ODD_LITERALS = [
    "0",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.0.0.01",
    "0177.0.0.1",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0X7F000001",
    "0x7f000001.",
    "017700000001",
    "2130706433",
    "4294967297",
    "8.8.2056",
    "1.2.3.4.5",
    "example.1",
    "example.0x",
    "example.0xf",
    "256.256.256.256",
]


@pytest.mark.parametrize("host", ODD_LITERALS)
def test_what_some_take_for_an_address_is_no_host(host: str) -> None:
    assert not CLOSED.allows_host(host)
    assert not opened("0.0.0.0/0", "::/0").allows_host(host)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.LocalHost."]
)
def test_localhost_is_loopback_whatever_dns_says(host: str) -> None:
    assert not CLOSED.allows_host(host)
    assert opened("127.0.0.0/8").allows_host(host)
    assert opened("::1/128").allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com.",
        "localhost.example",
        "mylocalhost",
        "0x7f.example",
        "127.0.0.1.example",
        "1e100.net",
        "a.0xg",
        "x.0-1",
        "xn--mnchen-3ya.example",
        "8.8.8.8",
        "2606:4700::1111",
    ],
)
def test_names_and_public_addresses_are_hosts(host: str) -> None:
    assert CLOSED.allows_host(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", "fd00::1"]
)
def test_special_addresses_are_no_hosts(host: str) -> None:
    assert not CLOSED.allows_host(host)


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_is_not(host: str) -> None:
    assert CLOSED.allows_host(host) in {True, False}


@given(st.ip_addresses(v=4), st.data())
def test_no_notation_of_an_address_is_a_host(address: IPv4Address, data: st.DataObject) -> None:
    """What `inet_aton` takes, it takes for an address: as one of its own, or not at all."""
    number = int(address)
    parts = data.draw(st.integers(1, 4))
    octets = [number >> 24, number >> 16 & 255, number >> 8 & 255][: parts - 1]
    last = number & (1 << 8 * (5 - parts)) - 1
    notations = st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "000{:o}"])
    host = ".".join(data.draw(notations).format(part) for part in [*octets, last])
    assert inet_aton(host) == address.packed
    allowed = CLOSED.allows_host(host)
    assert allowed == (host == str(address) and CLOSED.allows(host))


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
