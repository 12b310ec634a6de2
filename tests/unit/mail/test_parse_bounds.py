"""Mails that are made to cost time and memory: what is counted, and what is said of the rest."""

import pytest

from conduit.mail.charset import CHARSETS
from conduit.mail.content import MAX_NESTING, MAX_PARTS, MAX_TEXT
from conduit.mail.description import MAX_NAME
from conduit.mail.fields import MAX_FIELDS, MAX_SECTION, OWN_FIELDS
from conduit.mail.mailboxes import MAX_MAILBOXES
from conduit.mail.notes import MAX_NOTES
from conduit.mail.parse import ParsedMail, parse
from conduit.mail.transfer import MAX_UU_LINES

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
BEYOND_FIELDS = "header fields beyond the limits were left out"


def nested(depth: int) -> bytes:
    levels = (
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(depth)
    )
    return b"".join(levels) + b"\r\ninnermost\r\n"


def values(mail: ParsedMail) -> int:
    return sum(len(values) for values in mail.headers.values())


def test_100_000_parts() -> None:
    mail = parse(MIXED + b"--b\r\nContent-Type: a/b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n")
    assert len(mail.attachments) == MAX_PARTS
    assert mail.notes == ("parts beyond the limit were left out",)


def test_parts_are_counted_over_all_levels() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    inner += b"--c\r\nContent-Type: a/b\r\n\r\nx\r\n" * 90 + b"--c--\r\n"
    mail = parse(MIXED + inner * 50 + b"--b--\r\n")
    assert len(mail.attachments) == MAX_PARTS - 50
    assert mail.notes == ("parts beyond the limit were left out",)


def test_lines_that_only_look_like_delimiters() -> None:
    mail = parse(MIXED + b"--bx\r\n" * 100_000 + b"--b\r\n\r\nlate\r\n--b--\r\n")
    assert mail.notes == ("a multipart body without its boundary was taken as text",)
    assert mail.attachments == ()


def test_1_000_levels_of_nesting() -> None:
    mail = parse(nested(1_000))
    [rest] = mail.attachments
    assert rest.content_type == "multipart/mixed"
    assert b"innermost" in rest.content
    assert f"parts nested more than {MAX_NESTING} deep were left as one attachment" in mail.notes


def test_the_nesting_of_mail_programs_is_within_the_limit() -> None:
    assert parse(nested(MAX_NESTING)).text == "innermost\n"


def test_100_000_headers() -> None:
    mail = parse(b"X-A: b\r\n" * 100_000 + b"\r\nbody")
    assert values(mail) == MAX_FIELDS + OWN_FIELDS
    assert (mail.text, mail.notes) == ("body", (BEYOND_FIELDS,))


def test_100_000_headers_of_different_names_in_a_part() -> None:
    fields = b"".join(b"X-%d: b\r\n" % number for number in range(100_000))
    mail = parse(MIXED + b"--b\r\n" + fields + b"\r\npart\r\n--b--\r\n")
    assert (mail.text, mail.notes) == ("part", (BEYOND_FIELDS,))


def test_one_endless_header() -> None:
    mail = parse(b"Subject: first\r\nX-A: b" + b"\r\n x" * MAX_SECTION + b"\r\n\r\nbody")
    assert (mail.subject, values(mail)) == ("first", 0)
    assert (mail.text, mail.notes) == ("body", (BEYOND_FIELDS,))


def test_as_many_headers_as_allowed() -> None:
    ours = b"Authentication-Results: localhost; spf=none\r\n", b"Received: by localhost\r\n"
    assert len(ours) == OWN_FIELDS
    mail = parse(b"".join(ours) + b"X-A: b\r\n" * MAX_FIELDS + b"\r\nbody")
    assert (values(mail), mail.text, mail.notes) == (MAX_FIELDS + OWN_FIELDS, "body", ())


@pytest.mark.parametrize("mailbox", [b"a@example.com,", b"A <a@example.com>,", b"g:a@b.c;"])
def test_10_000_recipients(mailbox: bytes) -> None:
    mail = parse(b"To: " + mailbox * 10_000 + b"\r\n\r\n")
    assert len(mail.to) == MAX_MAILBOXES
    assert mail.notes


def test_recipients_are_counted_over_all_fields() -> None:
    assert len(parse(b"To: a@b.c, d@e.f\r\n" * 900 + b"\r\n").to) == MAX_MAILBOXES


@pytest.mark.parametrize(
    "value",
    [b"(" * 60_000, b"a:" * 30_000, b'<"' * 30_000, b'"\\' * 30_000, b"<" * 60_000, b"[" * 60_000],
)
def test_addresses_that_never_end(value: bytes) -> None:
    assert len(parse(b"To: " + value + b"\r\n\r\n").to) <= MAX_MAILBOXES


@pytest.mark.parametrize(
    "value",
    [
        b"=?" * 400_000,
        b"=?a?q?" * 150_000,
        b"=?utf-8?q?=41?= " * 50_000,
        b"=?utf-8?b?!?=" * 50_000,
        b" " * 1_000_000 + b"x",
    ],
)
def test_subjects_without_measure(value: bytes) -> None:
    mail = parse(b"Subject: " + value + b"\r\n\r\n")
    assert mail.subject is not None
    assert len(mail.subject) <= len(value)


@pytest.mark.parametrize("parameter", [b";a*0*=b", b"; ", b';a="\\', b";a=b", b";a*999=b"])
def test_parameters_without_measure(parameter: bytes) -> None:
    mail = parse(b"Content-Type: text/plain" + parameter * 100_000 + b"\r\n\r\nbody")
    assert mail.text == "body"
    assert "a content field of more than 16384 octets was cut" in mail.notes


@pytest.mark.parametrize("date", ["1" * 150, "Mon, 1 Jan " + "9" * 100 + " 1:1:1", "9" * 9_999])
def test_dates_out_of_this_world(date: str) -> None:
    mail = parse(f"Date: {date}\r\n\r\n".encode())
    assert (mail.date, mail.notes) == (None, ("the Date field is not a date",))


def test_a_file_name_is_cut_to_what_file_systems_take() -> None:
    name = b"a" * 5_000
    [file] = parse(b"Content-Type: a/b; name=" + name + b"\r\n\r\n").attachments
    assert file.filename == "a" * MAX_NAME


def test_an_endless_message_id_is_none() -> None:
    assert parse(b"Message-ID: <" + b"a" * 2_000 + b">\r\n\r\n").message_id is None


def test_text_beyond_the_limit_is_an_attachment() -> None:
    mail = parse(b"\r\n" + b"x" * (MAX_TEXT + 1))
    assert mail.text is None
    assert [file.size for file in mail.attachments] == [MAX_TEXT + 1]
    assert mail.notes == (f"text beyond {MAX_TEXT} octets was left as an attachment",)


def test_notes_are_counted_too() -> None:
    parts = (b"--b\r\nContent-Type: nonsense%d\r\n\r\nx\r\n" % number for number in range(150))
    assert len(parse(MIXED + b"".join(parts) + b"--b--\r\n").notes) == MAX_NOTES


@pytest.mark.parametrize("charset", sorted(CHARSETS))
def test_every_charset_reads_any_octets(charset: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
    for octets in (
        bytes(range(256)) * 3,
        b"\xff" * 999,
        b"ab\x1b$B\x1b.A",
        b"ab\x1b.J\x1bN+",
        b"ab~{\xd8\0",
    ):
        text = parse(header + octets).text
        assert text
        text.encode()
        assert "\0" not in text


def test_uuencoded_lines_are_counted() -> None:
    field = b"Content-Type: a/b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    mail = parse(field + b"begin 644 a\r\n" + b"!\r\n" * (MAX_UU_LINES + 9) + b"end\r\n")
    [file] = mail.attachments
    assert file.size == MAX_UU_LINES
    told = "uuencoded data that is broken or cut off was decoded as far as possible"
    assert mail.notes == (told,)


@pytest.mark.parametrize("text", [b"=" * 1_000_000, b"= \t" * 300_000, b"=" + b" " * 1_000_000])
def test_quoted_printable_without_measure(text: bytes) -> None:
    field = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    assert len(parse(field + text + b"x").text or "") <= len(text) + 1


def test_what_is_not_quite_base64_is_read_once() -> None:
    field = b"Content-Transfer-Encoding: base64\r\n\r\n"
    text = b"a" + b" " * 1_000_000 + b"b c"
    assert parse(field + text).text == text.decode()
