"""Whatever the octets, there is a mail, and it is text that JSON can hold."""

from collections.abc import Iterator
from dataclasses import astuple
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.parse import parse
from conduit.mail.trace import received_count, smtp_message_id

MAILS = sorted((Path(__file__).parents[2] / "data" / "mails").glob("*.eml"))

FRAGMENTS = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b"\0",
            b":",
            b";",
            b",",
            b"=",
            b'"',
            b"\\",
            b"'",
            b"*",
        ),
        *(
            b"(",
            b")",
            b"<",
            b">",
            b"[",
            b"]",
            b"--",
            b"b",
            b"\r\n\r\n",
            b"\r\n--b\r\n",
            b"\r\n--b--",
        ),
        *(b"From: ", b"To: ", b"Subject: ", b"Date: ", b"Message-ID: ", b"Received: x\r\n"),
        *(b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/plain; charset=", b"a/b; name"),
        *(
            b"Content-Transfer-Encoding: ",
            b"base64",
            b"quoted-printable",
            b"utf-16",
            b"iso-2022-jp",
        ),
        *(b"Content-Disposition: attachment; filename", b"*0*=utf-8''%", b"=?utf-8?q?=ED=A0=80?="),
        *(
            b"=?iso-2022-jp-2?b?",
            b"?=",
            b"\xff",
            b"\xed\xa0\x80",
            b"\xef\xbb\xbf",
            b"a@example.com",
        ),
        *(b"Mon, 1 Jan 0001 00:00:00 +2300", b"31 Dec 9999 23:59:59 -2359", b"-0000", b"\x1b$B"),
    ]
)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def expect_sound(raw: bytes) -> None:
    mail = parse(raw)
    for text in strings(astuple(mail)):
        text.encode()
        assert "\0" not in text
    assert "\r" not in (mail.text or "") + (mail.html or "")
    if mail.date is not None:
        assert mail.date.utcoffset() == timedelta(0)
        assert isinstance(mail.date, datetime)
    assert mail.message_id == smtp_message_id(raw)
    assert len(mail.headers.get("Received", ())) <= received_count(raw)


@given(st.binary(max_size=500))
def test_any_octets(raw: bytes) -> None:
    expect_sound(raw)


@given(st.lists(FRAGMENTS | st.binary(max_size=4), max_size=60).map(b"".join))
def test_any_sequence_of_what_mails_are_made_of(raw: bytes) -> None:
    expect_sound(raw)


@given(st.data())
def test_any_damage_to_a_mail(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(MAILS)).read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 40)))
        raw = raw[:start] + data.draw(FRAGMENTS | st.binary(max_size=8)) + raw[end:]
    expect_sound(raw)


@given(st.sampled_from(MAILS), st.floats(0, 1))
def test_any_beginning_of_a_mail(path: Path, share: float) -> None:
    raw = path.read_bytes()
    expect_sound(raw[: int(len(raw) * share)])
