"""SPF: whose record is asked for, what bounds it, and what users read of it."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import TemporaryDnsFailure
from conduit.mail.address import Address
from conduit.mail.authentication.spf import MAX_ADDRESSES, MAX_RECORD, check_spf
from conduit.mail.authentication.spf_memory import SpfMemory
from conduit.model.authentication import Spf, SpfScope, SpfStatus

CLIENT = "192.0.2.1"
SENDER = Address("alice", "example.com")


class Records:
    """DNS with the records that a test sets; `asked` lists the questions."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[str, ...]] = {}
        self.away: set[str] = set()
        self.never: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def policy(self, *texts: str, name: str = "example.com") -> None:
        """Publish TXT records."""
        self.records[name, "TXT"] = texts

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """Return TXT records."""
        return tuple(text.encode("latin-1") for text in await self._look_up(name, "TXT"))

    async def a(self, name: str) -> tuple[str, ...]:
        """Return IPv4 addresses."""
        return await self._look_up(name, "A")

    async def aaaa(self, name: str) -> tuple[str, ...]:
        """Return IPv6 addresses."""
        return await self._look_up(name, "AAAA")

    async def mx(self, name: str) -> tuple[str, ...]:
        """Return mail exchangers."""
        return await self._look_up(name, "MX")

    async def ptr(self, name: str) -> tuple[str, ...]:
        """Return host names."""
        return await self._look_up(name, "PTR")

    async def _look_up(self, name: str, kind: str) -> tuple[str, ...]:
        self.asked.append((name, kind))
        if name in self.away:
            raise TemporaryDnsFailure(name)
        if name in self.never:
            await asyncio.Event().wait()
        return self.records.get((name, kind), ())


@pytest.fixture
def dns() -> Records:
    return Records()


async def check(dns: Records, remote_ip: str = CLIENT, sender: Address | None = SENDER) -> Spf:
    """Check a mail whose client says `HELO mail.example.net`."""
    return await check_spf(dns, remote_ip=remote_ip, helo="mail.example.net", sender=sender)


async def test_the_domain_of_the_sender_is_asked(dns: Records) -> None:
    dns.policy("v=spf1 ip4:192.0.2.1 -all")
    assert await check(dns) == Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com")
    assert dns.asked == [("example.com", "TXT")]


async def test_the_null_reverse_path_has_helo_checked(dns: Records) -> None:
    dns.policy("v=spf1 exists:%{l}.%{d} -all", name="mail.example.net")
    dns.records["postmaster.mail.example.net", "A"] = ("127.0.0.2",)
    spf = await check(dns, sender=None)
    assert spf == Spf(SpfStatus.PASS, SpfScope.HELO, "mail.example.net")


@pytest.mark.parametrize(
    ("helo", "domain"), [("MAIL.Example.NET.", "mail.example.net"), ("bücher.example", "")]
)
async def test_a_name_in_helo_may_be_written_in_several_ways(
    dns: Records, helo: str, domain: str
) -> None:
    domain = domain or "xn--bcher-kva.example"
    dns.policy("v=spf1 +all", name=domain)
    spf = await check_spf(dns, remote_ip=CLIENT, helo=helo, sender=None)
    assert (spf.status, spf.domain) == (SpfStatus.PASS, domain)


@pytest.mark.parametrize(
    "helo",
    [
        "",
        "localhost",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "192.0.2.1",
        "JUMPIN' JUPITER.com",
        "mail..example.net",
        "a" * 64 + ".example.net",
        "a." * 127 + "example.net",
        "mail.\x00.example.net\r\n",
        "\udc80.example.net",
    ],
)
async def test_helo_without_a_domain_has_no_verdict(dns: Records, helo: str) -> None:
    spf = await check_spf(dns, remote_ip=CLIENT, helo=helo, sender=None)
    assert (spf.status, spf.scope) == (SpfStatus.NONE, SpfScope.HELO)
    assert spf.problem == "there is no domain name to check"
    assert dns.asked == []


async def test_a_sender_at_an_address_literal_has_no_verdict(dns: Records) -> None:
    spf = await check(dns, sender=Address("alice", "[192.0.2.1]"))
    assert (spf.status, spf.scope) == (SpfStatus.NONE, SpfScope.MAIL_FROM)
    assert dns.asked == []


async def test_an_internationalized_sender_is_asked_for_in_a_labels(dns: Records) -> None:
    dns.policy("v=spf1 exists:%{o}.example.net -all", name="xn--bcher-kva.example")
    dns.records["xn--bcher-kva.example.example.net", "A"] = ("127.0.0.2",)
    spf = await check(dns, sender=Address("grün", "Bücher.example"))
    assert spf == Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "xn--bcher-kva.example")


@pytest.mark.parametrize("remote_ip", ["::ffff:192.0.2.1", "::FFFF:c000:201", CLIENT])
async def test_a_mapped_address_counts_as_ipv4(dns: Records, remote_ip: str) -> None:
    dns.policy("v=spf1 ip4:192.0.2.1 -all")
    assert (await check(dns, remote_ip)).status is SpfStatus.PASS


async def test_a_link_local_client_comes_with_its_interface(dns: Records) -> None:
    dns.policy("v=spf1 ip6:fe80::/10 -all")
    assert (await check(dns, "fe80::1%eth0")).status is SpfStatus.PASS


@pytest.mark.parametrize(
    ("policy", "status", "problem"),
    [
        ("-all", "fail", "the SPF record of example.com does not permit 192.0.2.1"),
        ("~all", "softfail", "the SPF record of example.com probably does not permit 192.0.2.1"),
        (
            "?all",
            "neutral",
            "the SPF record of example.com does not say whether it permits 192.0.2.1",
        ),
        (
            "moo -all",
            "permerror",
            "the SPF record of example.com cannot be interpreted: unknown mechanism 'moo'",
        ),
    ],
)
async def test_the_problem_says_what_is_wrong(
    dns: Records, policy: str, status: str, problem: str
) -> None:
    dns.policy("other", f"v=spf1 {policy}")
    spf = await check(dns)
    assert (spf.status, spf.problem) == (status, problem)


async def test_a_domain_without_a_record_has_no_verdict(dns: Records) -> None:
    dns.policy("v=spf10 -all", "google-site-verification=1")
    spf = await check(dns)
    assert spf.status is SpfStatus.NONE
    assert spf.problem == "example.com has no SPF record"


async def test_the_domain_may_explain_itself(dns: Records) -> None:
    dns.policy("v=spf1 -all exp=why.example.com")
    dns.policy(
        "%{i} may not send for %{o}, see https://example.com/?s=%{S}", name="why.example.com"
    )
    assert (await check(dns)).problem == (
        "the SPF record of example.com does not permit 192.0.2.1: example.com explains: "
        "192.0.2.1 may not send for example.com, see https://example.com/?s=alice%40example.com"
    )


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300,
        "%{s}" * 2000,
        "line\r\nbreak",
        "\x1b[31mred",
        "caf\xe9",
        "%{x}",
        "100%",
        "x" * 9000,
    ],
)
async def test_an_explanation_that_does_not_fit_in_a_line_is_left_out(
    dns: Records, text: str
) -> None:
    dns.policy("v=spf1 -all exp=why.example.com")
    dns.policy(text, name="why.example.com")
    spf = await check(dns)
    assert spf.status is SpfStatus.FAIL
    assert spf.problem == "the SPF record of example.com does not permit 192.0.2.1"


@pytest.mark.parametrize("name", ["example.com", "included.example.com", "host.example.com"])
async def test_dns_that_fails_for_now_is_a_temporary_error(dns: Records, name: str) -> None:
    dns.policy("v=spf1 include:included.example.com a:host.example.com +all")
    dns.policy("v=spf1 -all", name="included.example.com")
    dns.away.add(name)
    spf = await check(dns)
    assert spf.status is SpfStatus.TEMPERROR
    assert spf.problem is not None
    assert spf.problem.startswith("the SPF record of example.com cannot be evaluated now: ")


async def test_a_check_ends_in_time(dns: Records) -> None:
    dns.policy("v=spf1 a:never.example.com +all")
    dns.never.add("never.example.com")
    async with asyncio.timeout(30):
        spf = await check_spf(
            dns, remote_ip=CLIENT, helo="mail.example.net", sender=SENDER, timeout=0.05
        )
    assert spf.status is SpfStatus.TEMPERROR
    assert spf.problem == (
        "the SPF record of example.com cannot be evaluated now: evaluation time limit exceeded"
    )


def names(count: int) -> list[str]:
    """Return names of hosts, all different."""
    return [f"host{number}.example.com" for number in range(count)]


async def test_ten_terms_may_ask_dns_and_no_more(dns: Records) -> None:
    for name in names(11):
        dns.records[name, "A"] = ("198.51.100.1",)
    terms = [f"a:{name}" for name in names(11)]
    dns.policy("v=spf1 " + " ".join(terms[:10]) + " +all")
    assert (await check(dns)).status is SpfStatus.PASS
    dns.policy("v=spf1 " + " ".join(terms) + " +all")
    assert (await check(dns)).status is SpfStatus.PERMERROR


async def test_two_look_ups_may_find_nothing_and_no_more(dns: Records) -> None:
    dns.policy("v=spf1 a:host0.example.com a:host1.example.com +all")
    assert (await check(dns)).status is SpfStatus.PASS
    dns.policy("v=spf1 a:host0.example.com a:host1.example.com a:host2.example.com +all")
    assert (await check(dns)).status is SpfStatus.PERMERROR


@pytest.mark.parametrize(("count", "status"), [(10, "pass"), (11, "permerror")])
async def test_a_domain_may_have_ten_exchangers(dns: Records, count: int, status: str) -> None:
    dns.policy("v=spf1 mx +all")
    dns.records["example.com", "MX"] = tuple(names(count))
    for name in names(count):
        dns.records[name, "A"] = ("198.51.100.1",)
    assert (await check(dns)).status == status


async def test_all_that_ten_terms_may_ask_for_is_asked(dns: Records) -> None:
    domains = [f"d{number}.example.com" for number in range(10)]
    for domain in domains:
        hosts = [f"mx{number}.{domain}" for number in range(10)]
        dns.records[domain, "MX"] = tuple(hosts)
        dns.records.update({(host, "A"): ("198.51.100.1",) for host in hosts})
    dns.policy("v=spf1 " + " ".join(f"mx:{domain}" for domain in domains) + " +all")
    assert (await check(dns)).status is SpfStatus.PASS
    assert len(dns.asked) == 1 + 10 + 100


@pytest.mark.parametrize(("count", "status"), [(10, "pass"), (11, "fail")])
async def test_only_ten_names_of_the_client_are_looked_at(
    dns: Records, count: int, status: str
) -> None:
    dns.policy("v=spf1 ptr -all")
    others = [f"host{number}.example.net" for number in range(count - 1)]
    dns.records["1.2.0.192.in-addr.arpa", "PTR"] = (*others, "mail.example.com")
    dns.records["mail.example.com", "A"] = (CLIENT,)
    assert (await check(dns)).status == status


async def test_an_overlong_record_is_not_read(dns: Records) -> None:
    policy = "v=spf1 " + "ip4:198.51.100.1 " * 1000 + "+all"
    assert len(policy) > MAX_RECORD
    dns.policy(policy)
    spf = await check(dns)
    assert spf.status is SpfStatus.PERMERROR
    assert spf.problem is not None
    assert spf.problem.endswith(f": the record of example.com is longer than {MAX_RECORD} octets")
    dns.policy("x" * len(policy), "v=spf1 +all")
    assert (await check(dns)).status is SpfStatus.PASS


@pytest.mark.parametrize(
    ("others", "status"), [(MAX_ADDRESSES - 1, "pass"), (MAX_ADDRESSES, "permerror")]
)
async def test_a_name_has_only_so_many_addresses(dns: Records, others: int, status: str) -> None:
    dns.policy("v=spf1 a -all")
    dns.records["example.com", "A"] = ("198.51.100.1",) * others + (CLIENT,)
    assert (await check(dns)).status == status


async def test_others_have_their_turn_while_a_record_includes_itself(dns: Records) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    dns.policy("v=spf1 " + "ip4:198.51.100.1 " * 100 + "include:example.com")
    counting = asyncio.ensure_future(count())
    assert (await check(dns)).status is SpfStatus.PERMERROR
    counting.cancel()
    assert len(dns.asked) == 1
    assert turns >= 10


_PIECES = [
    *(
        "a",
        "mx",
        "ptr",
        "ip4:",
        "ip6:",
        "include:",
        "exists:",
        "redirect=",
        "exp=",
        "all",
        "v=spf1",
    ),
    *(
        " ",
        " ",
        "-",
        "~",
        "?",
        "+",
        "/",
        "//",
        "/24",
        "//64",
        ":",
        "=",
        ".",
        "..",
        "\n",
        "\0",
        "\xff",
    ),
    *("1.2.3.4", "::1", "fe80::1%eth0", "example.com", "9" * 30, "9" * 5000, "\xb2"),
    *("%{", "}", "%{d}", "%{l}", "%{p}", "%{ir}", "%{d2r.}", "%{d" + "9" * 5000 + "}", "%%", "%_"),
]


@given(
    pieces=st.lists(st.sampled_from(_PIECES), max_size=12),
    remote_ip=st.sampled_from([CLIENT, "2001:db8::1", "::ffff:192.0.2.1"]),
    local=st.sampled_from(["alice", "", "a b", "é", "a@b", "%{d}"]),
)
def test_any_record_has_a_verdict_and_a_line_about_it(
    pieces: Sequence[str], remote_ip: str, local: str
) -> None:
    dns = Records()
    dns.policy("v=spf1 " + "".join(pieces))
    spf = asyncio.run(check(dns, remote_ip, Address(local, "example.com")))
    assert (spf.problem is None) == (spf.status is SpfStatus.PASS)
    assert spf.problem is None or (spf.problem.isascii() and spf.problem.isprintable())


@pytest.mark.parametrize("policy", ["a:%{d" + "9" * 5000 + "}.com", "ip4:192.0.2.1\n"])
async def test_what_spftrace_stumbles_over_cannot_be_interpreted(dns: Records, policy: str) -> None:
    dns.policy("v=spf1 " + policy)
    spf = await check(dns)
    assert spf.status is SpfStatus.PERMERROR
    assert spf.problem == "the SPF record of example.com cannot be interpreted"


async def remembered(memory: SpfMemory, helo: str = "mail.example.net") -> SpfStatus:
    """Ask the memory about a mail of SENDER's."""
    spf = await memory.check(remote_ip=CLIENT, helo=helo, sender=SENDER)
    return spf.status


async def test_a_verdict_is_remembered_for_some_seconds(
    dns: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("conduit.mail.authentication.spf_memory.monotonic", lambda: now)
    memory = SpfMemory(dns, seconds=30)
    dns.policy("v=spf1 -all")
    assert await remembered(memory) is SpfStatus.FAIL
    dns.policy("v=spf1 +all")
    now += 29
    assert await remembered(memory) is SpfStatus.FAIL
    now += 1
    assert await remembered(memory) is SpfStatus.PASS


async def test_another_question_is_answered_for_itself(dns: Records) -> None:
    memory = SpfMemory(dns)
    dns.policy("v=spf1 exists:%{h} -all")
    dns.records["mail.example.net", "A"] = ("127.0.0.2",)
    assert await remembered(memory) is SpfStatus.PASS
    assert await remembered(memory, helo="other.example.net") is SpfStatus.FAIL
    assert await remembered(memory) is SpfStatus.PASS


async def test_a_failure_of_dns_is_not_remembered(dns: Records) -> None:
    memory = SpfMemory(dns)
    dns.policy("v=spf1 +all")
    dns.away.add("example.com")
    assert await remembered(memory) is SpfStatus.TEMPERROR
    dns.away.clear()
    assert await remembered(memory) is SpfStatus.PASS


async def test_only_so_many_verdicts_are_remembered(dns: Records) -> None:
    memory = SpfMemory(dns, size=3)
    for name in names(10):
        await remembered(memory, helo=name)
    assert len(memory._verdicts) == 3
