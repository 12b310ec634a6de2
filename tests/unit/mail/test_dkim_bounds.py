"""Signed mails that are made to cost time: verified in a time that grows with their size only.

The deadlines are ten times what the work takes or more, so what does not end fails.
"""

import asyncio
import tracemalloc
from collections.abc import Iterator

import pytest

from conduit.mail.authentication.arc import check_arc
from conduit.mail.authentication.canonical import canonical_body, canonical_field, hash_body
from conduit.mail.authentication.dkim import check_dkim
from conduit.mail.fields import MAX_FIELDS, MAX_SECTION
from conduit.model.authentication import ArcStatus, Dkim, DkimStatus
from tests.support.signing import SigningKey
from tests.support.zone import Zone

SIZE = 25 << 20
MAIL = b"From: ann@example.com\r\nSubject: x\r\n\r\nbody\r\n"
KEY = SigningKey.rsa()
UNITS = {
    "spaces": b" ",
    "tabs": b"\t",
    "single spaces": b" x",
    "tabs between letters": b"\tx",
    "spaces before line ends": b" \r\n",
    "empty lines": b"\r\n",
    "bare line feeds": b"\n",
    "bare carriage returns": b"\r",
    "CRs before CRLFs": b"\r\r\n",
    "runs of spaces": b"x" + b" " * 1_000,
    "one line": b"x",
    "lines": b"x" * 76 + b"\r\n",
}


async def verified(raw: bytes, *, within: float = 60) -> list[Dkim]:
    deadline = asyncio.get_running_loop().time() + within
    return list(await check_dkim(Zone(KEY.record), raw, limit=5, deadline=deadline))


def signature(*, form: str = "relaxed/relaxed") -> bytes:
    """A valid signature of the header, so that the body is looked at; it is not of that body."""
    return KEY.sign(MAIL, canonicalize=form, headers=["from", "subject"]).removesuffix(MAIL)


@pytest.mark.parametrize("form", ["relaxed/relaxed", "simple/simple"])
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
async def test_a_body_of_25_mb(unit: bytes, form: str) -> None:
    raw = signature(form=form) + MAIL + unit * (SIZE // len(unit)) + b"end"
    [found] = await verified(raw)
    assert (found.status, found.problem) == (
        DkimStatus.FAIL,
        "the body is not the one that was signed",
    )


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
@pytest.mark.parametrize("relaxed", [True, False])
def test_a_body_is_worked_on_in_pieces(unit: bytes, relaxed: bool) -> None:
    raw = unit * (SIZE // 5 // len(unit)) + b"end"
    tracemalloc.start()
    try:
        hash_body(canonical_body(raw, 0, relaxed=relaxed), [0, 100, SIZE * 2])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
async def test_a_header_field_as_long_as_a_section_may_be(unit: bytes) -> None:
    folded = unit.replace(b"\n", b"\n ")
    value = (folded * (MAX_SECTION // len(folded) - 2)).rstrip(b"\r\n ")[:-2_000] + b"end"
    raw = b"X-A: " + value + b"\r\n" + MAIL
    [found] = await verified(signature() + raw)
    assert found.status is DkimStatus.PASS


@pytest.mark.parametrize("relaxed", [True, False])
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_the_form_of_a_long_field(unit: bytes, relaxed: bool) -> None:
    value = unit.replace(b"\n", b"\n ") * (MAX_SECTION // len(unit))
    assert len(canonical_field((b"X", value), relaxed=relaxed)) <= 3 * len(value)


async def test_more_header_fields_than_are_read() -> None:
    raw = signature() + b"X-A: b\r\n" * 100_000 + MAIL
    [found] = await verified(raw)
    assert found.status is DkimStatus.PERMERROR
    assert "beyond the limits" in (found.problem or "")


async def test_as_many_header_fields_as_are_read_all_of_them_signed() -> None:
    raw = b"X-A: b\r\n" * (MAX_FIELDS - 3) + MAIL
    [found] = await verified(KEY.sign(raw, headers=["from", "subject", *["x-a"] * 900]))
    assert found.status is DkimStatus.PASS


async def test_10_000_signatures() -> None:
    found = await verified(signature() * 10_000 + MAIL)
    assert [each.status for each in found] == [DkimStatus.PERMERROR] * 5
    found = await verified(signature() * 900 + MAIL)
    assert [each.status for each in found] == [DkimStatus.PASS] * 5


async def test_a_list_of_100_000_fields() -> None:
    names = ":".join(["from", *["x"] * 100_000])
    [found] = await verified(KEY.sign(MAIL, tags={"h": names}))
    assert found.status is DkimStatus.PERMERROR


def pieces_counted(pieces: Iterator[bytes], count: list[int]) -> Iterator[bytes]:
    for piece in pieces:
        count.append(len(piece))
        yield piece


@pytest.mark.parametrize("signatures", [1, 5])
async def test_a_body_is_hashed_once_for_all_signatures_of_one_form(
    signatures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count: list[int] = []
    monkeypatch.setattr(
        "conduit.mail.authentication.signed_mail.canonical_body",
        lambda raw, start, *, relaxed: pieces_counted(
            canonical_body(raw, start, relaxed=relaxed), count
        ),
    )
    raw = MAIL
    for _ in range(signatures):
        raw = KEY.sign(raw, canonicalize="relaxed/relaxed", headers=["from"], length=True)
    found = await verified(raw)
    assert [each.status for each in found] == [DkimStatus.PASS] * signatures
    assert sum(count) == len(b"body\r\n")


async def test_a_body_whose_header_was_not_signed_is_not_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("conduit.mail.authentication.signed_mail.hash_body")
    [found] = await verified(signature().replace(b"b=", b"b=AAAA") + MAIL)
    assert found.status is DkimStatus.FAIL


async def test_the_event_loop_runs_while_a_large_mail_is_verified() -> None:
    raw = signature() + MAIL + b" x" * (SIZE // 2)
    turns = 0
    work = asyncio.create_task(verified(raw))
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    assert [each.status for each in await work] == [DkimStatus.FAIL]


async def test_work_that_nobody_waits_for_any_more_ends() -> None:
    raw = signature() + MAIL + b" x" * (SIZE // 2)
    for _ in range(50):
        task = asyncio.create_task(verified(raw))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    [found] = await verified(signature() + MAIL + b"x" * (1 << 17), within=20)
    assert found.status is DkimStatus.FAIL


async def test_work_that_takes_too_long_is_a_temporary_error() -> None:
    raw = signature() + MAIL + b" x" * (SIZE // 2)
    [found] = await verified(raw, within=0.001)
    assert found.status is DkimStatus.TEMPERROR


@pytest.mark.parametrize("name", [b"ARC-Seal", b"ARC-Authentication-Results"])
async def test_10_000_fields_of_arc(name: bytes) -> None:
    raw = b"".join(b"%s: i=%d; x=y\r\n" % (name, number) for number in range(10_000)) + MAIL
    deadline = asyncio.get_running_loop().time() + 60
    assert (await check_arc(Zone(), raw, deadline=deadline)).status is ArcStatus.FAIL
