"""Whatever the octets, there is a result and no exception; forms are those that dkimpy makes."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import pytest
from dkim.canonicalization import CanonicalizationPolicy
from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.authentication import canonical
from conduit.mail.authentication.arc import check_arc
from conduit.mail.authentication.canonical import canonical_body, canonical_field
from conduit.mail.authentication.dkim import check_dkim
from conduit.mail.authentication.keys import KeyProblem, key_of
from conduit.mail.authentication.tag_list import TagListError, read_tags, without_signature
from conduit.model.authentication import ArcStatus, DkimStatus
from tests.support.signing import SigningKey
from tests.support.zone import Zone

KEY = SigningKey.ed25519()
LINES = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\n", b"\r", b"x", b"  ", b"\r\n\r\n", b"\xff", b"\0"]),
    max_size=40,
).map(b"".join)
TAGS = st.lists(
    st.sampled_from(
        [
            *(b"v=1", b"a=rsa-sha256", b"a=ed25519-sha256", b"d=example.com", b"s=ed", b"h=from"),
            *(b"bh=AAAA", b"b=AAAA", b"c=relaxed/relaxed", b"l=1", b"t=1", b"x=2", b"i=@x", b"i=1"),
            *(b"q=dns/txt", b"cv=none", b"p=AAAA", b"k=rsa", b"k=ed25519", b"p=", b"s=email"),
            *(
                b";",
                b"=",
                b" ",
                b"\r\n ",
                b"\0",
                b"\xff",
                b"b\r\n =",
                b":",
                b"\xc3\xbc",
                b"@",
                b".",
            ),
        ]
    ),
    max_size=30,
)
VALUES = st.tuples(TAGS, st.sampled_from([b"; ", b""])).map(lambda parts: parts[1].join(parts[0]))
ANY_VALUE = st.one_of(VALUES, st.binary(max_size=200))


@given(value=ANY_VALUE, body=LINES)
async def test_any_signature(value: bytes, body: bytes) -> None:
    raw = b"DKIM-Signature: " + value + b"\r\nFrom: a@example.com\r\n\r\n" + body
    deadline = asyncio.get_running_loop().time() + 30
    for found in await check_dkim(Zone(KEY.record), raw, limit=5, deadline=deadline):
        assert found.status is not DkimStatus.PASS
        assert found.problem


@given(fields=st.lists(st.tuples(st.integers(0, 2), ANY_VALUE), max_size=6))
async def test_any_chain(fields: list[tuple[int, bytes]]) -> None:
    names = (b"ARC-Seal: ", b"ARC-Message-Signature: ", b"ARC-Authentication-Results: ")
    raw = b"".join(names[kind] + value + b"\r\n" for kind, value in fields) + b"\r\n"
    deadline = asyncio.get_running_loop().time() + 30
    found = await check_arc(Zone(KEY.record), raw, deadline=deadline)
    assert found.status in {ArcStatus.NONE, ArcStatus.FAIL}


@given(raw=st.one_of(LINES, st.binary(max_size=300)))
async def test_any_mail(raw: bytes) -> None:
    signed = KEY.sign(b"From: a@example.com\r\n\r\nx")
    deadline = asyncio.get_running_loop().time() + 30
    [found] = await check_dkim(Zone(KEY.record), signed + raw, limit=5, deadline=deadline)
    assert found.status in {DkimStatus.PASS, DkimStatus.FAIL}


@given(record=ANY_VALUE)
def test_any_key_record(record: bytes) -> None:
    with suppress(KeyProblem):
        assert key_of((record,)).kind in {"rsa", "ed25519"}


@given(octets=ANY_VALUE)
def test_any_list_of_tags_keeps_its_other_tags_without_the_signature(octets: bytes) -> None:
    try:
        tags: Mapping[str, str] = read_tags(octets)
    except TagListError:
        return
    wanted = {name: "" if name == "b" else value for name, value in tags.items()}
    assert read_tags(without_signature(octets)) == wanted


@pytest.mark.parametrize("relaxed", [True, False])
@given(body=LINES, chunk=st.integers(1, 9))
def test_any_body_in_chunks_of_any_size(body: bytes, chunk: int, relaxed: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_CHUNK", chunk * 2)
        patch.setattr(canonical, "_NEWLINES", b"\r\n" * chunk)
        found = b"".join(canonical_body(body, 0, relaxed=relaxed))
    assert found == _by_dkimpy(body, relaxed=relaxed)


@pytest.mark.parametrize("relaxed", [True, False])
@given(words=st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"x", b"\xff", b":"]), max_size=20))
def test_any_field(words: list[bytes], relaxed: bool) -> None:
    value = b"".join(words)
    policy = CanonicalizationPolicy.from_c_value(b"relaxed" if relaxed else b"simple")
    [(name, wanted)] = policy.canonicalize_headers([(b"Name", value + b"\r\n")])
    found = canonical_field((b"Name", value + b"\r"), relaxed=relaxed)
    assert found + b"\r\n" == name + b":" + wanted


def _by_dkimpy(body: bytes, *, relaxed: bool) -> bytes:
    """Lines of white space at the end, and a last line without its end, are not dkimpy's best."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if relaxed and lines[-1].strip(b" \t") == b"":
        lines[-1] = b""
    octets = b"\r\n".join(lines)
    if relaxed and octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    policy = CanonicalizationPolicy.from_c_value(
        b"simple/" + (b"relaxed" if relaxed else b"simple")
    )
    return b"" if relaxed and not octets else bytes(policy.canonicalize_body(octets))
