"""Bodies that would be too large: what gives way, in which order, and that the rest fits."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.mail.parse import ParsedMail, parse
from conduit.model.payload_options import SMALLEST_BODY
from conduit.webhook.body_limit import fitted
from conduit.webhook.payload import build, fields
from tests.unit.webhook.test_payload import EVENT

LIMIT = SMALLEST_BODY
REASON = f"the body of a call is limited to {LIMIT} octets"
ALWAYS = {"message_id", "from", "to", "id", "received_at", "envelope"}
LARGE = 100_000


def made(mail: ParsedMail, limit: int = LIMIT) -> dict[str, Any]:
    body = build(mail, EVENT, attachment_limit=1 << 24, body_limit=limit)
    assert len(body) <= limit
    found: dict[str, Any] = orjson.loads(body)
    return found


def mail_of(**parts: int) -> ParsedMail:
    """Return a mail whose parts have so many octets."""
    raw = b"Subject: Re: %b\r\n" % (b"s" * parts.get("subject", 1))
    raw += b"X-Long: %b\r\n" % (b"h" * parts.get("headers", 1))
    raw += b"Cc: %b\r\n" % b", ".join([b"ann@example.com"] * parts.get("cc", 1))
    raw += b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    raw += b"--b\r\nContent-Type: text/plain\r\n\r\n" + b"t" * parts.get("text", 1) + b"\r\n"
    raw += b"--b\r\nContent-Type: text/html\r\n\r\n" + b"m" * parts.get("html", 1) + b"\r\n"
    for size in (10, parts.get("content", 1), 20):
        raw += b"--b\r\nContent-Type: a/b\r\n\r\n" + b"c" * size + b"\r\n"
    return parse(raw + b"--b--\r\n")


def told(*what: str) -> list[str]:
    return [f"{each}: {REASON}" for each in what]


def test_what_fits_is_left_as_it_is() -> None:
    mail = mail_of()
    body = build(mail, EVENT, attachment_limit=100)
    assert build(mail, EVENT, attachment_limit=100, body_limit=len(body)) == body
    assert b"notes" not in body


def test_contents_of_attachments_go_first_and_the_last_of_them_first() -> None:
    found = made(mail_of(content=LARGE, html=30_000))
    small, large, last = found["attachments"]
    assert "content" in small
    assert (large["size"], large["reason"]) == (LARGE, REASON)
    assert "content" in last  # its reason would be longer
    assert found["notes"] == told("contents of attachments were left out")
    assert len(found["html"]) == 30_000


def test_only_as_many_contents_go_as_must() -> None:
    pieces = b"".join(b"--b\r\nContent-Type: a/b\r\n\r\n%b\r\n" % (b"c" * 20_000) for _ in range(4))
    mail = parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + pieces + b"--b--")
    assert ["content" in each for each in made(mail)["attachments"]] == [True, True, False, False]


@pytest.mark.parametrize(
    ("parts", "gone", "notes"),
    [
        ({"html": LARGE}, {"html"}, ["html was left out"]),
        ({"html": LARGE, "headers": 50_000}, {"html"}, ["html was left out"]),
        ({"headers": LARGE}, {"html", "headers"}, ["html was left out", "headers was left out"]),
    ],
)
def test_then_go_html_and_headers(parts: dict[str, int], gone: set[str], notes: list[str]) -> None:
    found = made(mail_of(**parts))
    assert not gone & found.keys()
    assert found["notes"] == told("contents of attachments were left out", *notes)
    assert {"text", "subject", "attachments", "html", "headers"} - gone < found.keys()


def test_then_text_is_cut_as_late_as_possible() -> None:
    mail = replace(mail_of(), text="ü" * LARGE, is_reply=False)
    body = build(mail, EVENT, attachment_limit=0, body_limit=LIMIT)
    found = orjson.loads(body)
    assert LIMIT - 2 < len(body) <= LIMIT
    assert set(found["text"]) == {"ü"}
    assert found["notes"][-1:] == told("text was cut")


def test_what_a_reply_quotes_goes_before_its_new_words() -> None:
    quoted = replace(mail_of(), text="New.\n" + "> old\n" * LARGE)
    assert made(quoted)["stripped_text"] == "New."
    assert made(quoted)["text"].startswith("New.\n> old\n")
    new = replace(mail_of(), text="t" * LARGE)
    assert made(new)["stripped_text"].startswith("ttt")
    assert made(new)["notes"][-2:] == told("text was left out", "stripped_text was cut")


def test_a_text_with_many_escapes_is_cut_between_them() -> None:
    body = build(
        replace(mail_of(), text='\n\x01"' * LARGE, is_reply=False),
        EVENT,
        attachment_limit=0,
        body_limit=LIMIT,
    )
    assert LIMIT - 6 < len(body) <= LIMIT
    assert orjson.loads(body)["text"].startswith('\n\x01"\n\x01"')


def test_at_last_lists_and_the_subject_give_way() -> None:
    found = made(mail_of(cc=900, subject=LARGE))
    assert len(found["subject"]) > 0
    assert found["subject"].startswith("Re: ss")
    assert "cc" not in found
    assert found["notes"][-2:] == told("cc was left out", "subject was cut")


def test_entries_of_lists_are_whole() -> None:
    found = made(replace(mail_of(cc=1_000), cc=mail_of(cc=1_000).cc * 5, text=None, html=None))
    assert 0 < len(found["cc"]) < 5_000
    assert all(each == {"name": "", "address": "ann@example.com"} for each in found["cc"])


def test_recipients_without_number_are_cut() -> None:
    event = replace(
        EVENT, envelope=replace(EVENT.envelope, recipients=("x" * 250 + "@example.com",) * 500)
    )
    body = build(parse(b""), event, attachment_limit=0, body_limit=LIMIT)
    found = orjson.loads(body)
    assert len(body) <= LIMIT
    assert 0 < len(found["to"]) < 500
    assert found.keys() == ALWAYS | {"notes"}
    assert found["notes"] == told("to was cut")


def test_100_recipients_with_the_longest_addresses_always_fit() -> None:
    address = "ü" * 32 + "@" + ".".join(["x" * 63] * 3)
    envelope = replace(EVENT.envelope, mail_from=address, recipients=(address,) * 100)
    message_id = "<" + "\x01" * 996 + ">"
    mail = replace(mail_of(text=LARGE), message_id=message_id)
    body = build(mail, replace(EVENT, envelope=envelope), attachment_limit=0, body_limit=LIMIT)
    found = orjson.loads(body)
    assert len(body) <= LIMIT
    assert len(found["to"]) == 100
    assert found["message_id"] == message_id


def repeated(piece: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Octets that can be many, by the repetition of a few."""
    return st.builds(lambda octets, times: octets * times, piece, st.integers(0, 3_000))


def _line(octets: bytes) -> bytes:
    return octets.replace(b"\n", b" ").replace(b"\r", b" ")


@settings(deadline=None, max_examples=60)
@given(
    subject=repeated(st.binary(max_size=40)).map(_line),
    header=repeated(st.binary(max_size=40)).map(_line),
    cc=repeated(st.sampled_from([b"a@example.com, ", b'"\xfc\\"" <b@c>,', b"x:;"])),
    text=repeated(st.binary(max_size=60)),
    html=repeated(st.binary(max_size=60)),
    content=repeated(st.binary(max_size=60)),
    limit=st.integers(SMALLEST_BODY, 4 * SMALLEST_BODY),
)
def test_whatever_the_mail_and_the_limit_it_is_json_within_it(
    subject: bytes,
    header: bytes,
    cc: bytes,
    text: bytes,
    html: bytes,
    content: bytes,
    limit: int,
) -> None:
    head = b"Subject: Re: %b\r\nX-A: %b\r\nCc: %b\r\nReply-To: %b\r\n" % (subject, header, cc, cc)
    parts = (b"text/plain", text), (b"text/html", html), (b"a/b", content), (b"a/c", content)
    body = b"".join(b"--b\r\nContent-Type: %b\r\n\r\n%b\r\n" % part for part in parts)
    mail = parse(head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"--b--")
    whole = build(mail, EVENT, attachment_limit=1 << 24)
    within = build(mail, EVENT, attachment_limit=1 << 24, body_limit=limit)
    assert len(within) <= limit
    assert orjson.loads(within).keys() >= ALWAYS
    if len(whole) <= limit:
        assert within == whole
    else:
        assert any("the body of a call is limited" in n for n in orjson.loads(within)["notes"])


@given(st.integers(0, 2_000))
def test_a_limit_that_nobody_may_set_leaves_the_least_there_is(limit: int) -> None:
    found = orjson.loads(fitted(fields(mail_of(), EVENT, attachment_limit=0), limit))
    assert found.keys() >= ALWAYS
