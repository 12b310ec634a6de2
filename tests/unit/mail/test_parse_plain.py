"""What is read in a shorter way when it is plain says the same in the way for all else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.dates import any_date, usual_date
from conduit.mail.fields import MAX_FIELDS, OWN_FIELDS
from conduit.mail.head import MAX_PLAIN, any_head, plain_head
from conduit.mail.mailboxes import read_mailboxes
from conduit.mail.notes import Notes
from conduit.mail.parse import ParsedMail, parse
from conduit.mail.words import line_of, text_of
from tests.support.corpus import corpus
from tests.support.made_mails import Made

MAILS = list(corpus())

BLANKS = st.text(" \t", max_size=3)
NAMES = st.sampled_from(
    [
        *("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"),
        *("received", "Received", "In-Reply-To", "X-Tag", "x-tag", "!#$%&'*+-.^_`{|}~"),
    ]
)
WORDS = st.sampled_from(
    [
        *("Ann", '"Ann, A."', "<ann@example.com>", "bob@example.org,", "Team:", ";", "(a (b) c)"),
        *("=?utf-8?q?J=C3=BCrgen?=", "=?iso-8859-1?b?5A==?=", "=?x?=", "=?", "=?us-ascii?q?=00?="),
        *("text/plain;", "text/html;", "text/plain", "nonsense", 'charset="utf-8"', "charset=x"),
        *("multipart/mixed; boundary=b", "filename*0*=utf-8''%41;", "base64", "quoted-printable"),
        *("attachment;", "inline", "filename=a.txt", "Mon, 6 Jan 2025 10:00:00 +0000", "Re:"),
        *("<1@example.com>", "", ":", "\\", '"', "\ta", "a\tb"),
    ]
)
FOLDS = st.sampled_from([" ", "\r\n ", "\r\n\t", " \r\n ", "\r\n  ", "\r\n\t ", "\r\n \r\n ", "\t"])
VALUES = st.lists(st.tuples(FOLDS | BLANKS, WORDS), max_size=6).map(
    lambda pairs: "".join([fold + word for fold, word in pairs])
)
FIELDS = st.tuples(NAMES, BLANKS, VALUES, BLANKS).map(
    lambda parts: f"{parts[0]}{parts[1]}:{parts[2]}{parts[3]}\r\n"
)
BODIES = st.sampled_from(
    [
        b"",
        b"Text.\r\n",
        b"VGV4dC4=\r\n",
        b"=C3=BC\r\n",
        b"a\rb\nc\r\n\xff\r\n",
        b"--b\r\n\r\nOne.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n",
    ]
)
DAMAGES = st.sampled_from(
    [
        *(b"\r", b"\n", b"\t", b"\0", b"\x7f", b"\xe4", b"\xc3\xa4", b"\r\n\r\n", b"\n\n"),
        *(b":", b"no field\r\n", b"From ann Mon\r\n", b"From : x\r\n", b" folded\r\n", b"\r\r\n"),
    ]
)


def in_the_general_way(raw: bytes) -> ParsedMail:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conduit.mail.head.plain_head", lambda *_: None)
        return parse(raw)


def expect_same(raw: bytes) -> None:
    read, general = parse(raw), in_the_general_way(raw)
    assert read == general
    assert list(read.headers) == list(general.headers)


def expect_same_values(raw: bytes) -> None:
    """Each value that was read as text is what its octets are read as."""
    plain, general = plain_head(raw, 0, len(raw)), any_head(raw, 0, len(raw), kept=True)
    if plain is None:
        return
    assert (plain.names, plain.body, plain.problem) == (general.names, general.body, None)
    assert list(plain.names) == list(plain.values) == list(general.values)
    for name, values in plain.values.items():
        for value, octets in zip(values, general.values[name], strict=True):
            assert isinstance(octets, bytes)
            told: tuple[Notes, Notes] = Notes(), Notes()
            assert value == line_of(octets, told[0])
            assert told[0].all() == ()
            assert text_of(value, told[0]) == text_of(octets, told[1])
            assert told[0].all() == told[1].all()


def with_crlf(raw: bytes) -> bytes:
    return b"\r\n".join(raw.replace(b"\r\n", b"\n").split(b"\n"))


def is_plain(raw: bytes) -> bool:
    return plain_head(raw, 0, len(raw)) is not None


def test_most_mails_are_plain() -> None:
    assert sum(is_plain(mail.raw) for mail in MAILS) > 800
    assert sum(not is_plain(mail.raw) for mail in MAILS) > 100


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: str(mail.name))
def test_all_mails_say_the_same(mail: Made) -> None:
    for raw in (mail.raw, with_crlf(mail.raw)):
        expect_same(raw)
        expect_same_values(raw)


@given(st.lists(FIELDS, min_size=1, max_size=8), BODIES)
def test_any_fields(fields: list[str], body: bytes) -> None:
    raw = "".join(fields).encode() + b"\r\n" + body
    expect_same(raw)
    expect_same_values(raw)


@given(st.lists(FIELDS, min_size=1, max_size=5), BODIES, st.data())
def test_any_damage_to_fields(fields: list[str], body: bytes, data: st.DataObject) -> None:
    raw = "".join(fields).encode() + b"\r\n" + body
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 3)))
        raw = raw[:start] + data.draw(DAMAGES) + raw[end:]
    expect_same(raw)
    expect_same_values(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"Subject: a",
        b"Subject: a\r\n",
        b"Subject: a\r\n\r",
        b"Subject: a\n\r\n\r\nbody\r\n\r\n",
        b"Subject: a\r\n\n\r\n\r\nbody",
        b"From ann\r\nSubject: a\r\n\r\nbody",
        b"From : ann\r\nSubject: a\r\n\r\nbody",
        b"Subject: a\r\n \r\n b\r\n\r\nbody",
        b"Subject: a\r\n\r\n\r\nbody",
        b"X: " + b"a" * MAX_PLAIN + b"\r\n\r\nbody",
        b"X: a\r\n" * MAX_FIELDS + b"\r\nbody",
        b"X: a\r\n" * (MAX_FIELDS + OWN_FIELDS) + b"\r\nbody",
        b"X: a\r\n" * (MAX_FIELDS + OWN_FIELDS + 1) + b"\r\nbody",
    ],
)
def test_where_a_header_begins_and_ends(raw: bytes) -> None:
    expect_same(raw)
    expect_same_values(raw)


def test_a_header_beyond_the_bounds_is_not_plain() -> None:
    assert is_plain(b"X: a\r\n" * MAX_FIELDS + b"\r\n")
    assert not is_plain(b"X: a\r\n" * (MAX_FIELDS + 1) + b"\r\n")
    assert is_plain(b"X:" + b"a" * (MAX_PLAIN - 6) + b"\r\n\r\n")
    assert not is_plain(b"X:" + b"a" * (MAX_PLAIN - 5) + b"\r\n\r\n")


def test_notes_on_what_many_mails_have_are_told_of_each() -> None:
    raw = b"Content-Type: nonsense\r\nContent-Transfer-Encoding: 7bit\r\n\r\nText.\r\n"
    told = "content type 'nonsense' is not valid"
    assert [parse(raw).notes for _ in range(3)] == [(told,)] * 3


def test_a_type_is_read_by_where_it_stands() -> None:
    part = b"--b\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: a\r\n\r\n--b--\r\n"
    digest = b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + part
    mixed = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part
    for _ in range(2):
        assert [file.content_type for file in parse(digest).attachments] == ["message/rfc822"]
        assert parse(mixed).text == "Subject: a\n"


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 02 Nov 2026 10:00:00 +0000",
        "Mon, 2 Nov 2026 10:00:00 +0000",
        "2 Nov 2026 10:00:00 -0000",
        "Sun, 31 Dec 1900 23:59:59 -1159",
        "Fri, 31 Dec 2099 23:59:59 +1400 (LINT)",
        "Mon, 02 Nov 2026 10:00:00 +0000 (UTC)",
        "Xxx, 02 Nov 2026 10:00:00 +0530",
        "Mon, 02 Nov 2026 10:00:00 +2359",
        "Thu, 29 Feb 2024 10:00:00 +0000",
    ],
)
def test_a_usual_date_is_the_same_in_either_way(date: str) -> None:
    assert usual_date(date) is not None
    assert usual_date(date) == any_date(date)


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 02 Nov 2026 10:00:00 +0060",
        "Mon, 02 Nov 2026 10:00:00 +0099",
        "Mon, 02 Nov 2026 10:00:00 +2400",
        "Mon, 02 Nov 2026 10:00:00 +9999",
        "Mon, 02 Nov 2026 10:00:60 +0000",
        "Mon, 02 Nov 2026 24:00:00 +0000",
        "Mon, 31 Nov 2026 10:00:00 +0000",
        "Mon, 29 Feb 2023 10:00:00 +0000",
        "Mon, 0 Nov 2026 10:00:00 +0000",
        "Mon, 02 Xxx 2026 10:00:00 +0000",
        "Mon, 02 nov 2026 10:00:00 +0000",
        "Mon, 02 Nov 0026 10:00:00 +0000",
        "Mon, 02 Nov 9999 10:00:00 +0000",
        "Mon, 02 Nov 2026 10:00 +0000",
        "Mon, 02 Nov 2026 10:00:00",
        "Mon, 02 Nov 2026 10:00:00 GMT",
        "Mon, 02 Nov 2026 ١0:00:00 +0000",
        "Mon, 02  Nov 2026 10:00:00 +0000",
        "",
    ],
)
def test_other_dates_are_not_read_otherwise(date: str) -> None:
    assert usual_date(date) in {None, any_date(date)}


DATES = st.tuples(
    st.sampled_from(["", "Mon, ", "Sat, ", "Xyz, "]),
    st.integers(0, 32).map(str) | st.integers(0, 32).map("{:02}".format),
    st.sampled_from([" Jan ", " Feb ", " Jun ", " Sep ", " Dec ", " Okt "]),
    st.sampled_from(["1968", "2024", "2026"]) | st.integers(1, 9999).map("{:04}".format),
    st.tuples(*[st.integers(0, 61)] * 3).map(" {0[0]:02}:{0[1]:02}:{0[2]:02}".format),
    st.sampled_from([" +", " -"]),
    st.sampled_from(["0000", "0530", "1400"]) | st.integers(0, 9999).map("{:04}".format),
    st.sampled_from(["", " (CET)", " (UTC)"]),
).map("".join)


@given(DATES)
def test_any_date(date: str) -> None:
    assert usual_date(date) in {None, any_date(date)}


@given(st.text(max_size=20) | st.text("aé ?=\t\xa0\ufeff\u200bq", max_size=20))
def test_any_name_of_a_mailbox(text: str) -> None:
    name = "".join([c for c in text if c.isprintable() or c in "\t\xa0\ufeff\u200b"])
    name = name.replace('"', "").replace("\\", "").strip()
    [mailbox] = read_mailboxes(f'"{name}" <ann@example.com>'.encode(), Notes())
    assert mailbox.name == text_of(name.encode(), Notes())
