"""The chain of intermediaries that a mail came through, sealed as dkimpy does."""

import asyncio
from collections.abc import Callable

import dkim
import pytest

from conduit.mail.authentication.arc import check_arc
from conduit.model.authentication import Arc, ArcStatus
from tests.support.signing import SigningKey, Tags
from tests.support.zone import Zone

MAIL = b"From: ann@example.com\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nbody\r\n"
LIST = SigningKey.rsa(domain="lists.example", selector="l1")
HOST = SigningKey.ed25519(domain="Host.Example", selector="h1")
BOTH = (LIST.record, HOST.record)


async def validated(raw: bytes, zone: Zone | None = None, *, within: float = 30) -> Arc:
    deadline = asyncio.get_running_loop().time() + within
    return await check_arc(zone or Zone(*BOTH), raw, deadline=deadline)


async def expect_fail(raw: bytes, words: str, zone: Zone | None = None) -> None:
    found = await validated(raw, zone)
    assert found.status is ArcStatus.FAIL, found
    assert words in (found.problem or ""), found


async def test_a_mail_without_a_chain_asks_nothing_of_dns() -> None:
    zone = Zone()
    assert await validated(MAIL, zone) == Arc(ArcStatus.NONE)
    assert zone.asked == []


async def test_one_intermediary() -> None:
    assert await validated(LIST.seal(MAIL)) == Arc(ArcStatus.PASS, "lists.example", 1)


async def test_the_last_sealer_is_named() -> None:
    found = await validated(HOST.seal(LIST.seal(MAIL)))
    assert found == Arc(ArcStatus.PASS, "host.example", 2)


async def test_the_body_may_have_been_changed_before_the_last_sealer() -> None:
    changed = LIST.seal(LIST.seal(MAIL) + b"list footer\r\n")
    assert await validated(changed) == Arc(ArcStatus.PASS, "lists.example", 2)


async def test_the_order_of_the_fields_does_not_matter() -> None:
    fields, _, rest = LIST.seal(MAIL).partition(b"From:")
    seal, message = fields.split(b"ARC-Message-Signature:")
    message, results = message.split(b"ARC-Authentication-Results:")
    shuffled = (
        b"ARC-Authentication-Results:"
        + results
        + seal
        + b"ARC-Message-Signature:"
        + message
        + b"From:"
        + rest
    )
    assert (await validated(shuffled)).status is ArcStatus.PASS


async def test_as_many_sets_as_allowed() -> None:
    raw = MAIL
    for _ in range(50):
        raw = LIST.seal(raw)
    zone = Zone(LIST.record)
    assert await validated(raw, zone) == Arc(ArcStatus.PASS, "lists.example", 50)
    await expect_fail(LIST.seal(raw), "more than 50 sets")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw + b"x", "the body is not"),
        (lambda raw: raw.replace(b"Subject: hello", b"Subject: buy"), "not that of the header"),
        (lambda raw: raw.replace(b"example.org; none", b"example.org; spf=pass"), "the seal 2"),
        (lambda raw: raw.replace(b"i=1; example.org", b"i=2; example.org"), "not complete"),
        (lambda raw: raw.replace(b"i=2; example.org", b"i=3; example.org"), "not complete"),
        (lambda raw: raw.replace(b"i=2; example.org", b"example.org"), "no instance"),
        (lambda raw: raw.replace(b"ARC-Seal: i=2", b"ARC-Seal: i=x"), "no instance"),
        (lambda raw: raw.replace(b"ARC-Seal: i=2", b"X-ARC-Seal: i=2"), "not complete"),
        (lambda raw: raw.replace(b"ARC-Seal: i=2;", b"ARC-Seal: i=2; h=from;"), "lists header"),
        (lambda raw: raw.replace(b"cv=pass", b"cv=none"), "the seal 2 says nothing valid"),
        (lambda raw: raw.replace(b"cv=none", b"cv=pass"), "the seal 1 says nothing valid"),
        (lambda raw: raw.replace(b"ARC-Seal: i=2;", b"ARC-Seal: i=2; i=2;"), "a tag twice"),
        (lambda raw: raw.replace(b"To: bob", b"no field\r\nTo: bob"), "without an empty line"),
        (lambda raw: raw[raw.index(b"From:") :].join([b"ARC-Seal: i=1\r\n", b""]), "not complete"),
    ],
)
async def test_a_broken_chain(change: Callable[[bytes], bytes], words: str) -> None:
    raw = LIST.seal(LIST.seal(MAIL))
    assert (await validated(raw)).status is ArcStatus.PASS
    await expect_fail(change(raw), words)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"bh": "AAAA"}, "the body is not"),
        ({"h": "from:arc-seal"}, "covers seals"),
        ({"h": "to"}, "From field"),
        ({"a": "rsa-sha1"}, "rsa-sha1"),
    ],
)
async def test_a_message_signature_that_is_not_valid(tags: Tags, words: str) -> None:
    await expect_fail(LIST.seal(MAIL, message_tags=tags), words)


async def test_a_message_signature_of_a_part_of_the_body() -> None:
    raw = LIST.seal(MAIL, message_tags={"l": "6"})
    assert (await validated(raw)).status is ArcStatus.PASS
    await expect_fail(raw + b"more", "does not cover the whole body")


async def test_a_seal_without_a_selector() -> None:
    await expect_fail(LIST.seal(MAIL, seal_tags={"s": None}), "the seal 1 cannot be verified")


async def test_a_chain_that_was_broken_before() -> None:
    found = await validated(HOST.seal(LIST.seal(MAIL), chain="fail"))
    assert (found.status, found.domain, found.instances) == (ArcStatus.FAIL, "host.example", 2)
    assert "cv=fail" in (found.problem or "")


async def test_keys_that_cannot_be_used() -> None:
    raw = HOST.seal(LIST.seal(MAIL))
    await expect_fail(raw, "no key in DNS", Zone(LIST.record))
    await expect_fail(raw, "revoked", Zone(HOST.record, (LIST.name, LIST.text(p=""))))
    await expect_fail(raw, "not of the kind", Zone(HOST.record, (LIST.name, HOST.text())))


async def test_dns_that_gives_no_answer() -> None:
    for key in (LIST, HOST):
        zone = Zone(*BOTH)
        zone.fail(key.name.replace("Host.Example", "host.example"))
        found = await validated(HOST.seal(LIST.seal(MAIL)), zone)
        assert (found.status, found.domain, found.instances) == (
            ArcStatus.TEMPERROR,
            "host.example",
            2,
        )


async def test_a_deadline_that_is_over_before_the_work() -> None:
    assert (await validated(LIST.seal(MAIL), within=0)).status is ArcStatus.TEMPERROR


async def test_whoever_signed_nothing_gets_no_more_than_his_own_key_asked_for() -> None:
    zone = Zone(*BOTH)
    raw = LIST.seal(LIST.seal(HOST.seal(MAIL))) + b"x"
    await expect_fail(raw, "the body is not", zone)
    assert zone.asked == [LIST.name]


async def test_dkimpy_agrees() -> None:
    raw = LIST.seal(LIST.seal(LIST.seal(MAIL)))
    for sealed in (raw, raw + b"x", raw.replace(b"example.org; none", b"example.org; spf=pass", 1)):
        verdict, _, _ = dkim.ARC(sealed).verify(dnsfunc=lambda *_, **__: LIST.text().encode())
        assert verdict.decode() == (await validated(sealed)).status
