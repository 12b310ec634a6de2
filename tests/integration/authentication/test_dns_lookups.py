"""Look-ups against a DNS server: what comes back, what is kept, what is bounded."""

import asyncio

import pytest
from dns.name import from_text
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT

from conduit.dns.lookups import DnsLookups
from conduit.errors import SettingsError, TemporaryDnsFailure
from conduit.mail.authentication.dns import Dns
from tests.support.dns import DnsServer, Trouble
from tests.support.polling import eventually

NAME = "example.com"


@pytest.fixture
def lookups(dns_server: DnsServer) -> DnsLookups:
    return DnsLookups([dns_server.address], timeout=10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the cache reads; a test sets it."""
    now = [100.0]
    monkeypatch.setattr("conduit.dns.cache.monotonic", lambda: now[0])
    return now


def test_they_are_what_the_checks_of_mail_ask(lookups: DnsLookups) -> None:
    dns: Dns = lookups
    assert dns is lookups


async def test_records_of_each_type(dns_server: DnsServer, lookups: DnsLookups) -> None:
    dns_server.set(NAME, "A", "192.0.2.1", "192.0.2.2")
    dns_server.set(NAME, "AAAA", "2001:db8::1")
    dns_server.set(NAME, "MX", "20 mx2.example.com.", "10 mx1.example.com.", "0 .")
    dns_server.set(NAME, "TXT", '"v=spf1 " "-all"', '"other"')
    dns_server.set("1.2.0.192.in-addr.arpa", "PTR", "host.example.com.")
    assert set(await lookups.a(NAME)) == {"192.0.2.1", "192.0.2.2"}
    assert await lookups.aaaa(NAME) == ("2001:db8::1",)
    assert await lookups.mx(NAME) == (".", "mx1.example.com", "mx2.example.com")
    assert set(await lookups.txt(NAME)) == {b"v=spf1 -all", b"other"}
    assert await lookups.ptr("1.2.0.192.in-addr.arpa") == ("host.example.com",)


async def test_octets_of_a_text_come_as_they_are(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    octets = bytes(range(255))
    dns_server.set_rdata(from_text(NAME), TXT(IN, RdataType.TXT, [octets, octets]))
    assert await lookups.txt(NAME) == (octets * 2,)


async def test_aliases_are_followed(dns_server: DnsServer, lookups: DnsLookups) -> None:
    dns_server.set("alias.example.com", "CNAME", "example.com.")
    dns_server.set_txt(NAME, "found")
    assert await lookups.txt("alias.example.com") == (b"found",)
    dns_server.set("lost.example.com", "CNAME", "nowhere.example.com.")
    assert await lookups.txt("lost.example.com") == ()


async def test_aliases_in_a_circle_are_a_failure(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.set("a.example.com", "CNAME", "b.example.com.")
    dns_server.set("b.example.com", "CNAME", "a.example.com.")
    with pytest.raises(TemporaryDnsFailure):
        await lookups.txt("a.example.com")


async def test_an_answer_too_large_for_udp_comes_over_tcp(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.set_txt(NAME, *(f"{number}" * 200 for number in range(9)))
    assert len(await lookups.txt(NAME)) == 9
    assert [transport for _, _, transport in dns_server.questions] == ["udp", "tcp"]


async def test_what_does_not_exist_has_no_records(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.set(NAME, "A", "192.0.2.1")
    assert await lookups.txt(NAME) == ()
    assert await lookups.txt("nowhere.example.com") == ()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..example.com",
        ".example.com",
        "example.com..",
        "a" * 64 + ".example.com",
        "a." * 126 + "example.com",
        "a." * 100_000 + "example.com",
        "bücher.example",
        "example.\u212aom",
        "\udc80.example.com",
    ],
)
async def test_what_is_no_name_has_no_records_and_nobody_is_asked(
    dns_server: DnsServer, lookups: DnsLookups, name: str
) -> None:
    assert await lookups.txt(name) == ()
    assert dns_server.questions == []


async def test_odd_characters_stand_for_themselves(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    odd = TXT(IN, RdataType.TXT, [b"found"])
    dns_server.set_rdata(from_text(r"a\\b\009\064\"\(.example.com"), odd)
    assert await lookups.txt('a\\b\t@"(.example.com') == (b"found",)


async def test_the_search_list_of_the_system_is_not_for_mail(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    lookups._resolver.search = [from_text("example.com")]
    dns_server.set_txt("host.example.com", "ours")
    assert await lookups.txt("host") == ()
    assert await lookups.txt("host.") == ()


async def test_an_answer_is_kept_for_its_ttl(
    dns_server: DnsServer, lookups: DnsLookups, clock: list[float]
) -> None:
    dns_server.set(NAME, "A", "192.0.2.1", ttl=30)
    assert await lookups.a(NAME) == ("192.0.2.1",)
    dns_server.set(NAME, "A", "192.0.2.2", ttl=30)
    clock[0] += 29
    assert await lookups.a("EXAMPLE.com.") == ("192.0.2.1",)
    clock[0] += 1
    assert await lookups.a(NAME) == ("192.0.2.2",)
    assert dns_server.asked(NAME) == 2


@pytest.mark.parametrize("beside", ["nowhere.example.com", NAME])
async def test_that_something_does_not_exist_is_kept_as_its_zone_allows(
    dns_server: DnsServer, lookups: DnsLookups, clock: list[float], beside: str
) -> None:
    dns_server.set(NAME, "A", "192.0.2.1")
    dns_server.negative_ttl = 20
    assert await lookups.txt(beside) == ()
    clock[0] += 19
    assert await lookups.txt(beside) == ()
    assert dns_server.asked(beside) == 1
    dns_server.set_txt(beside, "now it does")
    clock[0] += 1
    assert await lookups.txt(beside) == (b"now it does",)


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.REFUSED])
async def test_a_failure_is_raised_and_not_kept(
    dns_server: DnsServer, lookups: DnsLookups, trouble: Trouble
) -> None:
    dns_server.set_txt(NAME, "back")
    dns_server.fail(NAME, trouble)
    with pytest.raises(TemporaryDnsFailure, match=r"TXT of example\.com\."):
        await lookups.txt(NAME)
    dns_server.heal(NAME)
    assert await lookups.txt(NAME) == (b"back",)


async def test_silence_is_raised_in_time_and_not_kept(dns_server: DnsServer) -> None:
    lookups = DnsLookups([dns_server.address], timeout=1)
    dns_server.set_txt(NAME, "back")
    dns_server.fail(NAME, Trouble.SILENCE)
    with pytest.raises(TemporaryDnsFailure):
        await lookups.txt(NAME)
    dns_server.heal(NAME)
    assert await eventually(lambda: unless_it_fails(lookups)) == (b"back",)


async def unless_it_fails(lookups: DnsLookups) -> tuple[bytes, ...]:
    """Look NAME up; a busy machine may be slower than so short a timeout."""
    try:
        return await lookups.txt(NAME)
    except TemporaryDnsFailure:
        return ()


async def test_servers_that_are_away_are_a_failure() -> None:
    async with DnsServer() as gone:
        lookups = DnsLookups([gone.address], timeout=1)
    with pytest.raises(TemporaryDnsFailure):
        await lookups.txt(NAME)


async def test_another_server_answers_for_one_that_fails(dns_server: DnsServer) -> None:
    dns_server.set_txt(NAME, "found")
    async with DnsServer() as failing:
        failing.fail(NAME, Trouble.SERVFAIL)
        lookups = DnsLookups([failing.address, dns_server.address], timeout=10)
        assert await lookups.txt(NAME) == (b"found",)


async def test_look_ups_at_a_time_share_one_question(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.set_txt(NAME, "found")
    dns_server.set(NAME, "A", "192.0.2.1")
    found = await asyncio.gather(*(lookups.txt(NAME) for _ in range(100)), lookups.a(NAME))
    assert found == [(b"found",)] * 100 + [("192.0.2.1",)]
    assert dns_server.asked(NAME) == 2


async def test_a_shared_failure_is_everybodys(dns_server: DnsServer, lookups: DnsLookups) -> None:
    dns_server.fail(NAME, Trouble.SERVFAIL)
    failures = await asyncio.gather(*(lookups.txt(NAME) for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [TemporaryDnsFailure] * 3
    assert dns_server.asked(NAME) == 1


async def test_who_gives_up_does_not_take_the_answer_from_others(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.set_txt(NAME, "found")
    impatient = asyncio.ensure_future(lookups.txt(NAME))
    patient = asyncio.ensure_future(lookups.txt(NAME))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == (b"found",)
    assert impatient.cancelled()


async def test_a_look_up_ends_with_the_last_who_waits(
    dns_server: DnsServer, lookups: DnsLookups
) -> None:
    dns_server.fail(NAME, Trouble.SILENCE)
    waiting = asyncio.ensure_future(lookups.txt(NAME))
    await eventually(lambda: bool(dns_server.asked(NAME)))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lookups._flights == {}
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    dns_server.heal(NAME)
    dns_server.set_txt(NAME, "found")
    assert await lookups.txt(NAME) == (b"found",)


async def test_only_so_many_look_ups_are_under_way(dns_server: DnsServer) -> None:
    lookups = DnsLookups([dns_server.address], timeout=10, concurrency=2)
    names = [f"host{number}.example.com" for number in range(4)]
    for name in names:
        dns_server.fail(name, Trouble.SILENCE)
    waiting = [asyncio.ensure_future(lookups.txt(name)) for name in names]
    await eventually(lambda: dns_server.asked(names[0]) and dns_server.asked(names[1]))
    assert [dns_server.asked(name) for name in names[2:]] == [0, 0]
    waiting[0].cancel()
    await eventually(lambda: dns_server.asked(names[2]))
    assert dns_server.asked(names[3]) == 0
    for look_up in waiting:
        look_up.cancel()
    await asyncio.wait(waiting)


async def test_the_wait_for_a_turn_is_bounded_too(dns_server: DnsServer) -> None:
    lookups = DnsLookups([dns_server.address], timeout=1, concurrency=1)
    for name in "abc":
        dns_server.fail(name, Trouble.SILENCE)
    async with asyncio.timeout(30):
        failures = await asyncio.gather(*map(lookups.txt, "abc"), return_exceptions=True)
    assert [type(failure) for failure in failures] == [TemporaryDnsFailure] * 3


def test_servers_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise FileNotFoundError("/etc/resolv.conf")

    monkeypatch.setattr("dns._file_util.maybe_open", unreadable)
    with pytest.raises(SettingsError, match="CONDUIT_DNS_SERVERS"):
        DnsLookups([])
