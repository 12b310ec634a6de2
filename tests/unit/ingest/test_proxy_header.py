"""The header that a load balancer puts before a session: what is one, and where it ends."""

from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_smtp_ingest.proxy_header import (
    LONGEST,
    Header,
    Incomplete,
    Malformed,
    is_proxy,
    parse,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = b"\x20", b"\x21"
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX, UNIX_DATAGRAM = (
    bytes([family]) for family in (0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32)
)
ONE, TWO = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
SIX = IPv6Address("2001:db8::1")
PORTS = b"\xdc\x04\x00\x19"
BLOCK4 = ONE.packed + TWO.packed + PORTS
BLOCK6 = SIX.packed * 2 + PORTS
SOCKETS = b"/run/smtp".ljust(108, b"\0") * 2
FULL = "ffff:" * 7 + "ffff"
LINES = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n", ONE),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", IPv4Address("255.255.255.255")),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n", ONE),
    (b"PROXY TCP6 2001:DB8::1 2001:db8::2 1 65535\r\n", SIX),
    (f"PROXY TCP6 {FULL} {FULL} 65535 65535\r\n".encode(), IPv6Address(FULL)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", ONE),
    (b"PROXY TCP6 ::ffff:c000:201 ::1 1 2\r\n", ONE),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN \r\n", None),
    (f"PROXY UNKNOWN {FULL} {FULL} 65535 65535\r\n".encode(), None),
    (b"PROXY UNKNOWN \xff\x00 what ever\r\n", None),
]


def binary(command: bytes, family: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    """Return a header of version 2."""
    octets = len(content) if length is None else length
    return SIGNATURE + command + family + octets.to_bytes(2) + content


BINARY = [
    (binary(PROXY, TCP4, BLOCK4), ONE),
    (binary(PROXY, TCP6, BLOCK6), SIX),
    (binary(PROXY, TCP6, IPv6Address("::ffff:192.0.2.1").packed * 2 + PORTS), ONE),
    (binary(PROXY, TCP4, BLOCK4 + b"\x20\x00\x01\x00"), ONE),
    (binary(PROXY, TCP4, BLOCK4 + b"\x20\xff\xffcut short"), ONE),
    (binary(PROXY, TCP4, BLOCK4.ljust(LONGEST - 16, b"\0")), ONE),
    (binary(PROXY, UNSPEC), None),
    (binary(PROXY, UNSPEC, BLOCK4), None),
    (binary(PROXY, UDP4, BLOCK4), None),
    (binary(PROXY, UDP6, BLOCK6), None),
    (binary(PROXY, b"\x10", BLOCK4), None),
    (binary(PROXY, UNIX, SOCKETS), None),
    (binary(PROXY, UNIX_DATAGRAM, SOCKETS), None),
    (binary(LOCAL, UNSPEC), None),
    (binary(LOCAL, TCP4, BLOCK4), None),
    (binary(LOCAL, TCP4), None),
    (binary(LOCAL, b"\xff", b"whatever"), None),
    (binary(LOCAL, UNSPEC, bytes(LONGEST - 16)), None),
]


@pytest.mark.parametrize(("header", "source"), LINES + BINARY)
def test_a_header_tells_the_source_and_its_own_length(
    header: bytes, source: IPv4Address | IPv6Address | None
) -> None:
    assert parse(header) == Header(source, len(header))
    assert parse(bytearray(header)) == Header(source, len(header))


@pytest.mark.parametrize(("header", "source"), LINES + BINARY)
def test_a_header_may_come_in_any_pieces_and_ends_before_the_session(
    header: bytes, source: IPv4Address | IPv6Address | None
) -> None:
    for octets in [*range(min(len(header), 300)), len(header) - 1]:
        assert parse(header[:octets]) == Incomplete()
    for session in (b"E", b"EHLO client.example\r\n", b"\r\n", header, b"\0" * 100_000):
        assert parse(header + session) == Header(source, len(header))


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO client.example\r\n",
        b"QUIT\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b" PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP6 ::1::1 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.١ 192.0.2.2 1 2\r\n".encode(),
        b"PROXY TCP4 mail.example 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY " + b"x" * 101,
        b"PROXY " + b"x" * 1_000_000,
        SIGNATURE[:-1] + b"\r\n" + bytes(4),
        b"\r\nEHLO client.example\r\n",
        binary(b"\x11", TCP4, BLOCK4),
        binary(b"\x31", TCP4, BLOCK4),
        binary(b"\x22", TCP4, BLOCK4),
        binary(b"\x2f", UNSPEC),
        binary(PROXY, b"\x13", BLOCK4),
        binary(PROXY, b"\x41", BLOCK4),
        binary(PROXY, b"\xff", BLOCK4),
        binary(PROXY, TCP4),
        binary(PROXY, TCP4, BLOCK4[:-1]),
        binary(PROXY, TCP6, BLOCK4),
        binary(PROXY, TCP6, BLOCK6[:-1]),
        binary(PROXY, TCP4, BLOCK4, length=LONGEST - 15),
        binary(PROXY, UNSPEC, length=0xFFFF),
        binary(LOCAL, UNSPEC, length=0xFFFF),
    ],
)
def test_what_is_no_header_is_known_as_soon_as_it_can_be_and_for_good(octets: bytes) -> None:
    assert isinstance(parse(octets), Malformed)
    assert isinstance(parse(octets + b"\r\n"), Malformed)
    assert not any(isinstance(parse(octets[:end]), Header) for end in range(200))


def test_a_line_that_never_ends_is_not_waited_for() -> None:
    assert parse(b"PROXY UNKNOWN ".ljust(106, b"x")) == Incomplete()
    assert parse(b"PROXY UNKNOWN ".ljust(107, b"x")) == Malformed("the line has no end")


def test_a_length_beyond_the_bound_is_not_waited_for() -> None:
    for command in (LOCAL, PROXY):
        header = binary(command, UNSPEC, length=LONGEST - 15)
        assert isinstance(parse(header), Malformed)


headers = st.sampled_from([header for header, _ in LINES + BINARY if len(header) < 1000])
starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE])
noise = st.binary(max_size=300)


@given(starts, noise)
@example(SIGNATURE, PROXY + TCP4 + b"\x00\x00")
@example(SIGNATURE, PROXY + TCP6 + b"\x00\x24")
def test_whatever_comes_is_an_answer_that_more_octets_do_not_change(
    start: bytes, rest: bytes
) -> None:
    octets = start + rest
    answers = [parse(octets[:end]) for end in range(len(octets) + 1)]
    for before, after in pairwise(answers):
        assert before == after or before == Incomplete()
    last = answers[-1]
    assert not isinstance(last, Header) or last.octets <= len(octets)


@given(headers, st.data())
def test_a_damaged_header_never_raises(header: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(header) - 1))
    damaged = bytearray(header)
    damaged[position] = data.draw(st.integers(0, 255))
    assert isinstance(parse(damaged), Header | Incomplete | Malformed)


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65535), noise)
def test_what_a_proxy_writes_is_read(
    source: IPv4Address | IPv6Address,
    target: IPv4Address | IPv6Address,
    port: int,
    session: bytes,
) -> None:
    if source.version != target.version:
        target = source
    told = (source.ipv4_mapped or source) if isinstance(source, IPv6Address) else source
    line = f"PROXY TCP{source.version} {source} {target} {port} 25\r\n".encode()
    assert parse(line + session) == Header(told, len(line))
    block = source.packed + target.packed + port.to_bytes(2) + b"\x00\x19"
    header = binary(PROXY, TCP4 if source.version == 4 else TCP6, block)
    assert parse(header + session) == Header(told, len(header))


NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120")))


@pytest.mark.parametrize(
    ("peer", "answer"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("::ffff:11.0.0.1", False),
        ("2001:db8:1::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.1", True),
        ("::10.1.2.3", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_only_configured_networks_are_proxies(peer: str, answer: bool) -> None:
    assert is_proxy(peer, NETWORKS) is answer
    assert not is_proxy(peer, ())
