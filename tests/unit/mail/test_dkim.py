"""Which domains vouch for a mail, by signatures made with dkimpy."""

import asyncio
import base64
from time import time
from typing import NoReturn

import dkim
import pytest

from conduit.mail.authentication.dkim import check_dkim
from conduit.model.authentication import Dkim, DkimStatus
from tests.support.signing import SigningKey, Tags
from tests.support.zone import Zone

MAIL = (
    b"From: Ann <ann@example.com>\r\n"
    b"To: bob@example.org\r\n"
    b"Subject: a  folded\r\n\t subject\r\n"
    b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    b"\r\n"
    b"Hello  Bob, \r\n"
    b"\r\n"
    b"bye\r\n"
    b"\r\n"
    b"\r\n"
)
RSA = SigningKey.rsa()
ED25519 = SigningKey.ed25519()
PASS, FAIL, POLICY = DkimStatus.PASS, DkimStatus.FAIL, DkimStatus.POLICY
NEUTRAL, TEMPERROR, PERMERROR = DkimStatus.NEUTRAL, DkimStatus.TEMPERROR, DkimStatus.PERMERROR


async def results(raw: bytes, zone: Zone, *, limit: int = 5, within: float = 30) -> list[Dkim]:
    deadline = asyncio.get_running_loop().time() + within
    return list(await check_dkim(zone, raw, limit=limit, deadline=deadline))


async def result(raw: bytes, zone: Zone | None = None) -> Dkim:
    zone = zone or Zone(RSA.record, ED25519.record)
    [only] = await results(raw, zone)
    return only


async def expect(raw: bytes, status: DkimStatus, words: str, zone: Zone | None = None) -> None:
    found = await result(raw, zone)
    assert found.status is status, found
    assert words in (found.problem or ""), found


@pytest.mark.parametrize("key", [RSA, ED25519, SigningKey.rsa(1024), SigningKey.rsa(4096)])
async def test_a_signature_of_the_senders_domain(key: SigningKey) -> None:
    found = await result(key.sign(MAIL), Zone(key.record))
    assert found == Dkim(PASS, "example.com", key.selector, f"{key.kind}-sha256")


async def test_a_signature_of_a_third_party() -> None:
    key = SigningKey.rsa(domain="mailer.example")
    found = await result(key.sign(MAIL), Zone(key.record))
    assert (found.status, found.domain) == (PASS, "mailer.example")


async def test_a_mail_without_a_signature_asks_nothing_of_dns() -> None:
    zone = Zone()
    assert await results(MAIL, zone) == []
    assert zone.asked == []


@pytest.mark.parametrize("header", ["relaxed", "simple"])
@pytest.mark.parametrize("body", ["relaxed", "simple"])
@pytest.mark.parametrize(
    "raw",
    [
        MAIL,
        MAIL.rstrip(),
        MAIL.replace(b"\r\n", b"\n"),
        b"From: a@example.com\r\n\r\n",
        b"From: a@example.com\r\n\r\n\r\n\r\n",
        b"From: a@example.com\r\n\r\n \t \r\n\t\r\n",
        b"From: a@example.com\r\n\r\nbare \r in\rthe\r\nmiddle \r\n \r\nend",
        b"From: \xc3\xa4 <a@example.com>\r\n\r\n\xe4\xf6\xfc\xff\x00\x80 \r\n",
        b"From: a@example.com\r\nSubject:\r\n\tfolded at once\r\n\r\n.dot\r\n",
        b"From: a@example.com\r\n\r\n" + b"long line " * 50_000 + b"\r\n\r\n",
    ],
)
async def test_every_canonicalization_of_every_kind_of_mail(
    raw: bytes, header: str, body: str
) -> None:
    signed = ED25519.sign(raw, canonicalize=f"{header}/{body}")
    assert (await result(signed)).status is PASS
    assert (await result(signed.replace(b"\r\n", b"\n"))).status is PASS
    changed = await result(signed + b"more\r\n")
    assert (changed.status, changed.problem) == (FAIL, "the body is not the one that was signed")


async def test_a_mail_that_is_all_header() -> None:
    assert (await result(RSA.sign(b"From: a@example.com\r\n"))).status is PASS
    assert (await result(RSA.sign(b"From: a@example.com"))).status is PASS


@pytest.mark.parametrize("body", ["relaxed", "simple"])
async def test_carriage_returns_are_no_line_ends_without_a_line_feed(body: str) -> None:
    signed = RSA.sign(MAIL + b"\r\r\n\r\r", canonicalize=f"relaxed/{body}")
    assert (await result(signed)).status is PASS
    assert (await result(signed + b"\n")).status is FAIL


async def test_white_space_may_change_where_the_signature_is_relaxed() -> None:
    signed = RSA.sign(MAIL, canonicalize="relaxed/relaxed")
    reformatted = signed.replace(b"To: bob", b"TO:\r\n \tbob").replace(
        b"Hello  Bob, ", b"Hello Bob,"
    )
    assert reformatted != signed
    assert (await result(reformatted)).status is PASS


@pytest.mark.parametrize("form", ["simple/relaxed", "relaxed/relaxed", "simple/simple"])
async def test_a_changed_header(form: str) -> None:
    signed = RSA.sign(MAIL, canonicalize=form)
    await expect(signed.replace(b"Ann", b"Eve"), FAIL, "not that of the header")


async def test_a_changed_body() -> None:
    await expect(RSA.sign(MAIL).replace(b"bye", b"buy"), FAIL, "the body is not the one")


async def test_a_field_that_was_not_there_when_it_was_signed() -> None:
    signed = RSA.sign(MAIL, headers=["from", "reply-to", "subject"])
    await expect(b"Reply-To: eve@example.net\r\n" + signed, FAIL, "not that of the header")


async def test_a_text_put_behind_the_signed_part() -> None:
    signed = RSA.sign(MAIL, length=True)
    assert (await result(signed)).status is PASS
    await expect(signed + b"buy this\r\n", POLICY, "14 octets at the end of the body are not")


async def test_a_body_that_lost_its_end() -> None:
    signed = RSA.sign(MAIL, length=True)
    await expect(signed.replace(b"bye\r\n", b""), FAIL, "shorter than what was signed")


async def test_a_signature_of_nothing_of_the_body() -> None:
    nothing = base64.b64encode(
        bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    ).decode()
    await expect(RSA.sign(MAIL, tags={"l": "0", "bh": nothing}), POLICY, "are not signed (l=)")


@pytest.mark.parametrize("name", ["Subject", "From", "To", "Date", "Content-Type"])
async def test_a_second_field_in_front(name: str) -> None:
    headers = ["from", "to", "subject", "date", "content-type"]
    signed = RSA.sign(b"Content-Type: text/plain\r\n" + MAIL, headers=headers)
    await expect(
        f"{name}: other\r\n".encode() + signed,
        POLICY,
        f"more {name.lower()} fields than were signed",
    )


async def test_a_field_that_is_signed_once_more_than_it_occurs_cannot_be_added() -> None:
    signed = RSA.sign(MAIL, headers=["from", "from", "subject", "subject"])
    assert (await result(signed)).status is PASS
    await expect(b"Subject: other\r\n" + signed, FAIL, "not that of the header")


async def test_fields_that_may_occur_often_may_be_added() -> None:
    signed = RSA.sign(b"Received: first\r\n" + MAIL, headers=["from", "received"])
    assert (await result(b"Received: second\r\n" + signed)).status is PASS


async def test_several_fields_of_a_name_are_signed_from_the_last_one_on() -> None:
    raw = b"X-A: 1\r\nX-A: 2\r\nX-A: 3\r\n" + MAIL
    signed = RSA.sign(raw, headers=["from", "x-a", "x-a"])
    assert (await result(signed.replace(b"X-A: 1", b"X-A: 0"))).status is PASS
    assert (await result(signed.replace(b"X-A: 2", b"X-A: 0"))).status is FAIL


async def test_an_expired_signature() -> None:
    made, past = str(int(time()) - 90_000), str(int(time()) - 86_400)
    await expect(RSA.sign(MAIL, tags={"t": made, "x": past}), POLICY, "expired")


async def test_a_signature_that_will_expire() -> None:
    assert (await result(RSA.sign(MAIL, tags={"x": str(int(time()) + 600)}))).status is PASS
    assert (await result(RSA.sign(MAIL, tags={"x": "9" * 20}))).status is PASS


async def test_a_signature_from_the_future() -> None:
    await expect(RSA.sign(MAIL, tags={"t": str(int(time()) + 86_400)}), POLICY, "future")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"v": "2"}, "version"),
        ({"v": None}, "version"),
        ({"d": None}, "no domain"),
        ({"s": None}, "no selector"),
        ({"a": None}, "no algorithm"),
        ({"bh": None}, "hash of the body"),
        ({"bh": "!"}, "hash of the body"),
        ({"h": None}, "list of header fields"),
        ({"h": "from:"}, "list of header fields"),
        ({"h": "to:subject"}, "does not cover the From field"),
        ({"a": "rsa-md5"}, "algorithm (a=) is unknown"),
        ({"c": "nofws"}, "canonicalization"),
        ({"c": "relaxed/relaxed/relaxed"}, "canonicalization"),
        ({"q": "http"}, "not in DNS"),
        ({"i": "ann@example.net"}, "identity"),
        ({"i": "ann@badexample.com"}, "identity"),
        ({"i": "example.com"}, "identity"),
        ({"l": "-1"}, "l= is not a number"),
        ({"l": "9" * 5_000}, "l= is not a number"),
        ({"t": "soon"}, "t= is not a number"),
        ({"t": "100", "x": "99"}, "expires (x=) before"),
        ({"d": "xn--\xfc.example"}, "not a domain name"),
        ({"d": "\u2488com"}, "not a domain name"),
        ({"d": "exa mple.com"}, "not a domain name"),
        ({"d": "[192.0.2.1]"}, "not a domain name"),
        ({"d": "a" * 64 + ".com"}, "not a domain name"),
        ({"d": "example..com"}, "not a domain name"),
        ({"s": "s1." * 100}, "not a domain name"),
        ({"s": "a" * 63 + "." + "b" * 63, "d": "c" * 63 + "." + "d" * 60}, "not a domain name"),
    ],
)
async def test_a_signature_that_cannot_be_verified(tags: Tags, words: str) -> None:
    await expect(RSA.sign(MAIL, tags=tags), PERMERROR, words)


async def test_rsa_sha1_is_refused() -> None:
    signed = RSA.sign(MAIL, algorithm="rsa-sha1")
    await expect(signed, PERMERROR, "rsa-sha1 is no longer valid")
    assert (await result(signed)).algorithm == "rsa-sha1"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"p": ""}, "revoked"),
        ({"p": "!"}, "not in base64"),
        ({"p": "AAAA"}, "not an RSA key"),
        ({"p": base64.b64encode(b"\x30" * 2_000).decode()}, "more than 4096 bits"),
        ({"k": "ed25519"}, "not an ed25519 key"),
        ({"k": "dsa"}, "unknown"),
        ({"k": "ed25519", "p": ED25519.public}, "not of the kind"),
        ({"s": "other"}, "not for mail"),
        ({"s": "tlsrpt:other"}, "not for mail"),
        ({"h": "sha1"}, "SHA-256"),
        ({"v": "DKIM2"}, "not one of DKIM"),
        ({"n": "x" * 5_000}, "more than 4096 octets"),
        ({"n": "\0"}, "control characters"),
        ({"9": "x"}, "not a list of tags"),
    ],
)
async def test_a_key_that_cannot_be_used(tags: dict[str, str], words: str) -> None:
    await expect(RSA.sign(MAIL), PERMERROR, words, Zone((RSA.name, RSA.text(**tags))))


@pytest.mark.parametrize(
    "tags", [{"s": "email"}, {"s": "other:*"}, {"h": "sha1:sha256"}, {"t": "x:s"}, {"n": "a note"}]
)
async def test_a_key_with_tags_that_allow_its_use(tags: dict[str, str]) -> None:
    found = await result(RSA.sign(MAIL), Zone((RSA.name, RSA.text(**tags))))
    assert found.status is PASS


@pytest.mark.parametrize("text", ["", "v=spf1 -all", "p=a;p=b", "k=rsa; v=DKIM1", "k=rsa"])
async def test_a_record_that_is_no_key(text: str) -> None:
    assert (await result(RSA.sign(MAIL), Zone((RSA.name, text)))).status is PERMERROR


async def test_a_record_of_the_key_alone() -> None:
    assert (await result(RSA.sign(MAIL), Zone((RSA.name, f"p={RSA.public}")))).status is PASS


async def test_no_key() -> None:
    await expect(RSA.sign(MAIL), PERMERROR, "there is no key in DNS", Zone())


async def test_several_records_in_place_of_one_key() -> None:
    zone = Zone()
    zone.set(RSA.name, "TXT", RSA.text(), RSA.text())
    await expect(RSA.sign(MAIL), PERMERROR, "several records", zone)


async def test_another_key_in_dns() -> None:
    other = SigningKey.rsa(domain="other.example")
    await expect(RSA.sign(MAIL), FAIL, "not that of the header", Zone((RSA.name, other.text())))
    await expect(
        ED25519.sign(MAIL),
        FAIL,
        "not that of the header",
        Zone((ED25519.name, SigningKey.ed25519().text())),
    )


async def test_an_rsa_key_that_is_too_small() -> None:
    key = SigningKey.rsa(512)
    await expect(key.sign(MAIL), PERMERROR, "512 bits is too small", Zone(key.record))


async def test_an_rsa_key_whose_exponent_takes_long() -> None:
    modulus, exponent = (1 << 2_047) + 1, (1 << 2_000) + 1
    der = b"".join(
        b"\x02\x82" + len(octets).to_bytes(2, "big") + octets
        for octets in (number.to_bytes(257, "big") for number in (modulus, exponent))
    )
    key = b"\x30\x82" + len(der).to_bytes(2, "big") + der
    text = RSA.text(p=base64.b64encode(key).decode())
    await expect(RSA.sign(MAIL), PERMERROR, "not taken", Zone((RSA.name, text)))


@pytest.mark.parametrize(
    ("identity", "status"), [("ann@example.com", PASS), ("ann@news.example.com", PERMERROR)]
)
async def test_a_key_that_is_not_for_subdomains(identity: str, status: DkimStatus) -> None:
    signed = RSA.sign(MAIL, tags={"i": identity})
    assert (await result(signed)).status is PASS
    assert (await result(signed, Zone((RSA.name, RSA.text(t="s"))))).status is status


async def test_a_key_for_testing_vouches_for_nothing_and_spoils_nothing() -> None:
    zone = Zone((RSA.name, RSA.text(t="y:s")))
    await expect(RSA.sign(MAIL), NEUTRAL, "testing (t=y); the signature verifies", zone)
    await expect(RSA.sign(MAIL) + b"x", NEUTRAL, "testing (t=y); the body is not", zone)


async def test_dns_that_gives_no_answer() -> None:
    zone = Zone()
    zone.fail(RSA.name)
    found = await result(RSA.sign(MAIL), zone)
    assert found == Dkim(
        TEMPERROR, "example.com", "s1", "rsa-sha256", "DNS gave no answer about the key"
    )


class SilentZone(Zone):
    async def txt(self, name: str) -> tuple[bytes, ...]:
        if name == RSA.name:
            await asyncio.Event().wait()
        return await super().txt(name)


async def test_dns_that_is_silent_until_the_deadline_leaves_the_other_results() -> None:
    zone = SilentZone(ED25519.record)
    first, second = await results(ED25519.sign(RSA.sign(MAIL)), zone, within=1)
    assert (first.status, second.status) == (PASS, TEMPERROR)


async def test_a_deadline_that_is_over_before_the_work() -> None:
    [found] = await results(RSA.sign(MAIL), Zone(RSA.record), within=0)
    assert found.status is TEMPERROR


async def test_several_signatures_are_told_in_their_order() -> None:
    other = SigningKey.rsa(domain="other.example", selector="x")
    raw = RSA.sign(ED25519.sign(other.sign(MAIL)))
    zone = Zone(RSA.record, ED25519.record)
    zone.fail(other.name)
    found = await results(raw, zone)
    assert [(each.selector, each.status) for each in found] == [
        ("s1", PASS),
        ("ed", PASS),
        ("x", TEMPERROR),
    ]


async def test_signatures_beyond_the_limit_are_not_looked_at() -> None:
    raw = RSA.sign(ED25519.sign(MAIL))
    zone = Zone(RSA.record, ED25519.record)
    assert [each.selector for each in await results(raw, zone, limit=1)] == ["s1"]
    assert zone.asked == [RSA.name]


async def test_a_key_that_is_used_twice_is_asked_for_once() -> None:
    zone = Zone(RSA.record)
    found = await results(RSA.sign(RSA.sign(MAIL)), zone)
    assert [each.status for each in found] == [PASS, PASS]
    assert zone.asked == [RSA.name]


async def test_a_signature_that_covers_another_one() -> None:
    headers = ["from", "dkim-signature", "dkim-signature"]
    raw = RSA.sign(ED25519.sign(MAIL), headers=headers)
    assert [each.status for each in await results(raw, Zone(RSA.record, ED25519.record))] == [
        PASS,
        PASS,
    ]


async def test_domains_are_told_in_a_labels() -> None:
    key = SigningKey.rsa(domain="XN--BCHER-KVA.Example", selector="SEL")
    signed = key.sign(MAIL, tags={"d": "BÜCHER.example", "i": "@news.bücher.EXAMPLE"})
    zone = Zone(("sel._domainkey.xn--bcher-kva.example", key.text()))
    found = await result(signed, zone)
    assert found == Dkim(PASS, "xn--bcher-kva.example", "sel", "rsa-sha256")


async def test_a_mail_without_a_from_field() -> None:
    raw = MAIL.replace(b"From: Ann <ann@example.com>\r\n", b"")
    await expect(RSA.sign(raw, headers=["subject"]), PERMERROR, "From field")
    assert (await result(RSA.sign(raw, headers=["from", "subject"]))).status is PASS


async def test_a_header_section_that_breaks_off() -> None:
    raw = RSA.sign(MAIL)
    await expect(
        raw.replace(b"To: bob", b"no field\r\nTo: bob"), PERMERROR, "without an empty line"
    )


async def test_folded_in_odd_places() -> None:
    signed = RSA.sign(MAIL, canonicalize="relaxed/relaxed")
    odd = signed.replace(
        b"DKIM-Signature: v=1; a=", b"dkim-signature:\r\n v \r\n =\r\n\t1\r\n ;\r\n a="
    )
    found = await result(odd)  # only the relaxed form survives it, and not with spaces added
    assert (found.status, found.domain) == (FAIL, "example.com")
    folded = signed.replace(b"; c=", b";\r\n\t c=")
    assert (await result(folded)).status is PASS


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b";",
        b"v",
        b"v=1; v=1",
        b"v=1;; d=example.com",
        b"v=1; d=example.com\0",
        b"v=1; d=\xff\xfe",
        b"=1",
        b"t=1;" * 100_000,
        b"v=1; " + b"".join(b"a%d=1; " % number for number in range(200)),
        b"v=1;" + b" " * 1_000_000,
        b"v=1;" + b"\r\n " * 300_000,
    ],
)
async def test_a_hostile_list_of_tags(value: bytes) -> None:
    found = await result(b"DKIM-Signature: " + value + b"\r\n" + MAIL)
    assert found.status is PERMERROR
    assert found.problem


@pytest.mark.parametrize("octets", [b"AAAA", b"A" * 88, b"/" * 341 + b"w=="])
async def test_a_signature_of_another_size(octets: bytes) -> None:
    for key in (RSA, ED25519):
        before, _, _ = key.sign(MAIL).partition(b"\r\n b=")
        await expect(before + b" b=" + octets + b"\r\n" + MAIL, FAIL, "not that of the header")


@pytest.mark.parametrize("octets", [b"", b"!", b"AAA"])
async def test_a_signature_that_is_not_in_base64(octets: bytes) -> None:
    before, _, _ = RSA.sign(MAIL).partition(b"\r\n b=")
    await expect(before + b" b=" + octets + b"\r\n" + MAIL, PERMERROR, "not in base64")


async def test_an_identity_that_is_left_out() -> None:
    assert (await result(RSA.sign(MAIL, tags={"i": None}))).status is PASS


class FaultyZone(Zone):
    async def txt(self, name: str) -> NoReturn:
        raise RuntimeError("a fault of ours")


async def test_a_fault_of_ours_is_not_taken_for_a_result() -> None:
    with pytest.raises((RuntimeError, ExceptionGroup)):
        await results(RSA.sign(MAIL), FaultyZone())


def taken_by_dkimpy(raw: bytes) -> bool:
    try:
        return bool(dkim.DKIM(raw).verify(dnsfunc=lambda *_, **__: RSA.text().encode()))
    except dkim.ValidationError:
        return False


@pytest.mark.parametrize(
    "form", ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"]
)
async def test_dkimpy_agrees(form: str) -> None:
    signed = RSA.sign(MAIL, canonicalize=form)
    for raw in (signed, signed + b"x", signed.replace(b"Ann", b"Eve"), signed + b"\r\n"):
        assert ((await result(raw)).status is PASS) is taken_by_dkimpy(raw)
