"""Whether SPF or DKIM vouches for the domain of the author, and what its owner wants."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.authentication.alignment import aligned, organizational_domain
from conduit.mail.authentication.author import NoAuthor, author_domain
from conduit.mail.authentication.dmarc import check_dmarc
from conduit.mail.authentication.dmarc_record import (
    MAX_RECORD,
    BadRecord,
    Record,
    read_record,
    records_among,
)
from conduit.mail.public_suffixes import public_suffixes
from conduit.model.authentication import (
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from tests.support.zone import Zone

NONE, PASS, FAIL = DmarcStatus.NONE, DmarcStatus.PASS, DmarcStatus.FAIL
TEMPERROR, PERMERROR = DmarcStatus.TEMPERROR, DmarcStatus.PERMERROR

REJECT = "v=DMARC1; p=reject"
MAIL = b"From: Ann <ann@example.com>\r\n\r\n"


def mail_of(domain: str) -> bytes:
    return f"From: ann@{domain}\r\n\r\n".encode()


def spf(domain: str = "", status: SpfStatus = SpfStatus.PASS) -> Spf:
    return Spf(status, SpfScope.MAIL_FROM, domain)


def dkim(domain: str, status: DkimStatus = DkimStatus.PASS) -> Dkim:
    return Dkim(status, domain, "s1", "rsa-sha256")


def owned(record: str = REJECT, domain: str = "example.com") -> Zone:
    return Zone((f"_dmarc.{domain}", record))


async def found(
    zone: Zone, by_spf: Spf | None = None, *by_dkim: Dkim, author: str = "example.com"
) -> Dmarc:
    return await check_dmarc(zone, mail_of(author), by_spf or spf(), by_dkim)


async def status(
    zone: Zone, by_spf: Spf | None = None, *by_dkim: Dkim, author: str = "example.com"
) -> DmarcStatus:
    return (await found(zone, by_spf, *by_dkim, author=author)).status


async def test_one_pass_is_enough() -> None:
    passed = Dmarc(PASS, "example.com", "reject")
    assert await found(owned(), spf("example.com")) == passed
    assert await found(owned(), spf(), dkim("example.com")) == passed
    assert await found(owned(), spf(), dkim("other.example"), dkim("example.com")) == passed


async def test_nobody_vouches() -> None:
    result = await found(owned())
    assert (result.status, result.domain, result.policy) == (FAIL, "example.com", "reject")
    assert result.problem


@pytest.mark.parametrize("word", [word for word in SpfStatus if word is not SpfStatus.PASS])
async def test_of_spf_only_a_pass_counts(word: SpfStatus) -> None:
    assert await status(owned(), spf("example.com", word)) is not PASS


@pytest.mark.parametrize("word", [word for word in DkimStatus if word is not DkimStatus.PASS])
async def test_of_dkim_only_a_pass_counts(word: DkimStatus) -> None:
    assert await status(owned(), spf(), dkim("example.com", word)) is not PASS


async def test_helo_counts_for_the_null_reverse_path() -> None:
    helo = Spf(SpfStatus.PASS, SpfScope.HELO, "mx.example.com")
    assert await status(owned(), helo) is PASS


@pytest.mark.parametrize(
    ("domain", "relaxed", "strict"),
    [
        ("example.com", True, True),
        ("mail.example.com", True, False),
        ("a.b.example.com", True, False),
        ("com", False, False),
        ("notexample.com", False, False),
        ("example.com.evil.net", False, False),
        ("example.org", False, False),
        ("", False, False),
    ],
)
async def test_alignment(domain: str, relaxed: bool, strict: bool) -> None:
    assert aligned(domain, "example.com", strict=False) is relaxed
    assert aligned(domain, "example.com", strict=True) is strict
    wanted = {True: PASS, False: FAIL}
    assert await status(owned(), spf(domain)) is wanted[relaxed]
    assert await status(owned(), spf(), dkim(domain)) is wanted[relaxed]
    assert await status(owned(f"{REJECT}; aspf=s"), spf(domain)) is wanted[strict]
    assert await status(owned(f"{REJECT}; adkim=s"), spf(), dkim(domain)) is wanted[strict]
    assert await status(owned(f"{REJECT}; adkim=s"), spf(domain)) is wanted[relaxed]
    assert await status(owned(f"{REJECT}; aspf=s"), spf(), dkim(domain)) is wanted[relaxed]


@pytest.mark.parametrize(
    ("domain", "organizational"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("my-domain.com", "my-domain.com"),
        ("mail.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("com", "com"),
        ("localhost", "localhost"),
        ("a.b.unheard-of", "b.unheard-of"),
        ("www.city.kobe.jp", "city.kobe.jp"),
        ("a.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("ann.github.io", "ann.github.io"),
        ("www.ann.github.io", "ann.github.io"),
    ],
)
def test_organizational_domains(domain: str, organizational: str) -> None:
    assert organizational_domain(domain) == organizational


def test_customers_of_a_host_do_not_vouch_for_one_another() -> None:
    assert not aligned("bob.github.io", "ann.github.io", strict=False)
    assert not aligned("github.io", "ann.github.io", strict=False)
    assert not aligned("other.co.uk", "example.co.uk", strict=False)


def test_the_list_is_loaded_once() -> None:
    assert public_suffixes() is public_suffixes()


async def test_the_authors_domain_is_asked_first() -> None:
    zone = Zone(("_dmarc.a.example.com", "v=DMARC1; p=none"), ("_dmarc.example.com", REJECT))
    result = await found(zone, author="a.example.com")
    assert (result.domain, result.policy) == ("a.example.com", "none")
    assert zone.asked == ["_dmarc.a.example.com"]


async def test_then_its_organizational_domain_and_none_between() -> None:
    zone = owned()
    result = await found(zone, spf("b.example.com"), author="x.a.example.com")
    assert (result.status, result.domain) == (PASS, "x.a.example.com")
    assert zone.asked == ["_dmarc.x.a.example.com", "_dmarc.example.com"]


async def test_what_is_no_record_is_passed_over() -> None:
    zone = owned()
    zone.set("_dmarc.a.example.com", "TXT", "v=spf1 -all", "a wildcard's", "v=DMARC2; p=none")
    assert (await found(zone, author="a.example.com")).policy == "reject"
    zone.set("_dmarc.example.com", "TXT", "v=spf1 -all", REJECT)
    assert (await found(zone)).policy == "reject"


@pytest.mark.parametrize(
    ("record", "policy", "of_subdomains"),
    [
        ("v=DMARC1; p=reject", "reject", "reject"),
        ("v=DMARC1; p=reject; sp=quarantine", "reject", "quarantine"),
        ("v=DMARC1; p=none; sp=reject", "none", "reject"),
    ],
)
async def test_the_policy_of_subdomains(record: str, policy: str, of_subdomains: str) -> None:
    assert (await found(owned(record))).policy == policy
    assert (await found(owned(record), author="a.example.com")).policy == of_subdomains
    own = owned(record, "a.example.com")
    assert (await found(own, author="a.example.com")).policy == policy


async def test_no_record_is_none() -> None:
    result = await found(Zone(), spf("example.com"), dkim("example.com"))
    assert (result.status, result.domain, result.policy) == (NONE, "example.com", None)


async def test_several_records_are_none() -> None:
    zone = Zone()
    zone.set("_dmarc.example.com", "TXT", REJECT, "v=DMARC1; p=none")
    result = await found(zone, spf("example.com"))
    assert (result.status, result.policy) == (NONE, None)
    assert "several" in (result.problem or "")


async def test_a_record_without_policy_is_a_permerror() -> None:
    result = await found(owned("v=DMARC1; p=rejekt"), spf("example.com"))
    assert (result.status, result.policy) == (PERMERROR, None)


@pytest.mark.parametrize(
    "failing", ["_dmarc.a.example.com", "_dmarc.example.com"], ids=["its own", "its owner's"]
)
@pytest.mark.parametrize("vouched", ["a.example.com", "other.example"])
async def test_without_the_record_nothing_is_known(failing: str, vouched: str) -> None:
    zone = Zone()
    zone.fail(failing)
    result = await found(zone, spf(vouched), author="a.example.com")
    assert (result.status, result.domain, result.policy) == (TEMPERROR, "a.example.com", None)


async def test_what_dns_left_open_counts_where_it_could_have_passed() -> None:
    spf_open, dkim_open = SpfStatus.TEMPERROR, DkimStatus.TEMPERROR
    result = await found(owned(), spf("example.com", spf_open))
    assert (result.status, result.policy) == (TEMPERROR, "reject")
    assert await status(owned(), spf(), dkim("mx.example.com", dkim_open)) is TEMPERROR
    assert await status(owned(), spf("example.com", spf_open), dkim("example.com")) is PASS
    assert await status(owned(), spf("other.example", spf_open)) is FAIL
    assert await status(owned(), spf(), dkim("other.example", dkim_open)) is FAIL


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Sender: ann@example.com\r\n",
        b"From: ann@example.com\r\nFrom: bob@example.com\r\n",
        b"From: ann@example.com\r\nfrom : bob@example.org\r\n",
        b"From:\r\n",
        b"From: Ann\r\n",
        b"From: <>\r\n",
        b"From: ann@\r\n",
        b"From: @example.com\r\n",
        b"From: ann@[192.0.2.1]\r\n",
        b"From: ann@example..com\r\n",
        b"From: ann@exam_ple.com\r\n",
        b"From: ann@" + b"a" * 64 + b".com\r\n",
        b"From: ann@example.com, bob@example.org\r\n",
        b"From: ann@example.com, bob@example.com\r\n",
        b"From: ann@example.com <bob@example.org> <eve@example.net>\r\n",
        b"From: <ann@example.com> bob@example.org\r\n",
        b"From: <ann@example.com>bob\r\n",
        b"From: Ann <ann@example.com\r\n",
        b"From: bob@example.org ann@example.com\r\n",
        b"From: ann@example.org@example.com\r\n",
        b'From: "Ann ann@example.com\r\n',
        b"From: ann@example.com\0.example.org\r\n",
        b"From: ann@example.com\r\nno field\r\nFrom: bob@example.org\r\n",
        b"From: ann@example.com\r\n" + b"X: y\r\n" * 1_000 + b"From: bob@example.org\r\n",
        b'From: "' + b'\\"' * 40_000 + b"\r\n",
    ],
)
async def test_without_exactly_one_author_there_is_none_to_vouch_for(header: bytes) -> None:
    zone = owned()
    for vouched in ("example.com", "example.org"):
        result = await check_dmarc(zone, header + b"\r\n", spf(vouched), [dkim(vouched)])
        assert (result.status, result.domain) == (NONE, "")
        assert result.problem
    assert zone.asked == []


@pytest.mark.parametrize(
    "value",
    [
        b"ann@example.com",
        b"Ann <ann@EXAMPLE.com>",
        b"\r\n Ann\r\n <ann@example.com>",
        b'"Doe, Ann <bob@example.org>" <ann@example.com>',
        b'"bob@example.org" <ann@example.com>',
        b"=?utf-8?q?bob=40example.org?= <ann@example.com>",
        b"bob@example.org <ann@example.com>",
        b"ann@example.com (Ann)",
        b"Ann <ann@example.com> (at work)",
        b'"bob@example.org"@example.com',
        b"The team: ann@example.com;",
        b"ann.@example.com",
        b"a" * 100 + b"@example.com",
        b"Ann <ann@example.com>,",
    ],
)
def test_the_one_author(value: bytes) -> None:
    assert author_domain(b"From:" + value + b"\r\n\r\nFrom: eve@example.net\r\n") == "example.com"


def test_an_internationalized_author() -> None:
    raw = "From: Jürgen <jürgen@BÜCHER.example>\r\n\r\n".encode()
    assert author_domain(raw) == "xn--bcher-kva.example"


@given(
    st.lists(
        st.sampled_from([*'<>@"\\(),:;. \t[]=?', "a", "é", "\0", "\r\n ", "\r\nFrom: ", "x@y.z"]),
        max_size=20,
    )
)
def test_whatever_stands_in_from_there_is_one_domain_or_none(parts: Sequence[str]) -> None:
    try:
        domain = author_domain(f"From: {''.join(parts)}\r\n\r\n".encode())
    except NoAuthor:
        return
    assert domain
    assert set(domain) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1; p=none", Record("none", "none", False, False)),
        ("v=DMARC1;p=Reject;", Record("reject", "reject", False, False)),
        ("V = DMARC1 ; P = quarantine ; ", Record("quarantine", "quarantine", False, False)),
        ("v=DMARC1; p=none; sp=reject", Record("none", "reject", False, False)),
        ("v=DMARC1; p=none; aspf=s; adkim=r", Record("none", "none", True, False)),
        ("v=DMARC1; p=none; aspf=r; adkim=S", Record("none", "none", False, True)),
        ("v=DMARC1; p=none; aspf=x; pct=zero", Record("none", "none", False, False)),
        ("v=DMARC1; p=none; new=1; junk; =;", Record("none", "none", False, False)),
        ("v=DMARC1; rua=mailto:a@example.com", Record("none", "none", False, False)),
        ("v=DMARC1; p=?; rua=mailto:a@example.com!10m", Record("none", "none", False, False)),
        ("v=DMARC1; p=reject; sp=?; rua=mailto:a@b.c", Record("none", "none", False, False)),
    ],
)
def test_records(text: str, record: Record) -> None:
    assert records_among([text.encode()]) == [text.encode()]
    assert read_record(text.encode()) == record


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1",
        "v=DMARC1; p=",
        "v=DMARC1; p=reject; sp=maybe",
        "v=DMARC1; p=reject; p=none",
        "v=DMARC1; rua=nobody",
        "v=DMARC1; p=reject; " + "x" * MAX_RECORD,
    ],
)
def test_records_that_say_nothing(text: str) -> None:
    assert records_among([text.encode()]) == [text.encode()]
    with pytest.raises(BadRecord):
        read_record(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " v=DMARC1; p=none",
        "p=none; v=DMARC1",
        "v=dmarc1; p=none",
        "v=DMARC11; p=none",
        "v=DMARC1 p=none",
    ],
)
def test_what_does_not_begin_with_the_version_is_no_record(text: str) -> None:
    assert records_among([text.encode()]) == []


@given(st.binary(max_size=60))
def test_no_record_raises_anything_else(octets: bytes) -> None:
    try:
        record = read_record(b"v=DMARC1; p=none; " + octets)
    except BadRecord:
        return
    assert record.policy == "none"
