"""What is made of mails, one file under tests/data/mails for each kind."""

from binascii import b2a_uu
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.parse import Attachment, Mailbox, ParsedMail, parse

MAILS = Path(__file__).parents[2] / "data" / "mails"


def parsed(name: str) -> ParsedMail:
    return parse((MAILS / f"{name}.eml").read_bytes())


def of_type(content_type: str, mail: ParsedMail) -> Attachment:
    [attachment] = [a for a in mail.attachments if a.content_type == content_type]
    return attachment


def test_a_plain_mail_has_all_its_fields() -> None:
    assert parsed("plain") == ParsedMail(
        message_id="<1.20250106@example.com>",
        subject="Hello",
        date=datetime(2025, 1, 6, 10, tzinfo=UTC),
        from_=Mailbox("Ann Author", "ann@example.com"),
        to=(Mailbox("Bob", "bob@example.org"), Mailbox("", "carol@example.org")),
        cc=(Mailbox("Doe, Dan", "dan@example.org"),),
        reply_to=(Mailbox("Help desk", "help@example.com"),),
        headers={
            "Received": (
                (
                    "from mail.example.com (mail.example.com [192.0.2.1]) by mx.example.org "
                    "with ESMTPS id 1; Mon, 6 Jan 2025 10:00:01 +0000"
                ),
                (
                    "from laptop (laptop [198.51.100.7]) by mail.example.com "
                    "with ESMTPSA id 2; Mon, 6 Jan 2025 10:00:00 +0000"
                ),
            ),
            "Cc": ('"Doe, Dan" <dan@example.org>',),
            "Reply-To": ("help@example.com (Help desk)",),
            "X-Tag": ("one", "two"),
        },
        text="It works.\n\n-- \nAnn\n",
        html=None,
        attachments=(),
        notes=(),
    )


def test_headers_keep_their_order() -> None:
    assert list(parsed("plain").headers) == ["Received", "Cc", "Reply-To", "X-Tag"]


def test_encoded_subject_name_and_file_name_are_decoded() -> None:
    mail = parsed("utf8-subject-attachment")
    assert mail.subject == "Grüße aus Köln ✓"
    assert mail.from_ == Mailbox("Jürgen Müller", "juergen@example.com")
    assert mail.text == "Grüße, ein langer Satz."
    assert mail.attachments == (
        Attachment(
            filename="Übersicht.pdf",
            content_type="application/pdf",
            content_id=None,
            inline=False,
            content=b"%PDF-1.4\n%\xc3\xa4\xc3\xbc\xc3\xb6\xc3\x9f\n",
        ),
    )
    assert mail.attachments[0].size == 19
    assert mail.notes == ("what follows the end of a multipart body was left out",)


def test_a_mail_that_is_one_attachment_has_no_text() -> None:
    mail = parsed("attachment-only")
    assert (mail.text, mail.html) == (None, None)
    [scan] = mail.attachments
    assert (scan.filename, scan.content_type, scan.size) == ("page 1.png", "image/png", 8)


def test_nested_multiparts_are_flattened() -> None:
    mail = parsed("nested")
    assert mail.text == "Plain body\nFooter of the list"
    assert mail.html == '<p>Body <img src="cid:logo@example.com"></p>'
    logo, log, passwd = mail.attachments
    assert (logo.content_id, logo.inline, logo.filename) == ("logo@example.com", True, None)
    assert (log.filename, log.inline, log.content) == ("log.txt", False, b"a log line")
    assert (passwd.filename, passwd.content) == ("passwd", b"")


def test_latin_1_means_windows_1252() -> None:
    mail = parsed("latin-1")
    assert mail.subject == "Café – déjà vu"
    assert mail.text == "Café – déjà vu\n"
    assert mail.from_ == Mailbox("André", "andre@example.com")


def test_broken_base64_is_read_as_far_as_it_goes() -> None:
    mail = parsed("broken-base64")
    assert mail.text == (
        "This is no base64 at all, whatever the header says!\nThis is cut of\nfooter follows"
    )
    assert [attachment.content for attachment in mail.attachments] == [bytes(range(6))]
    assert mail.notes == (
        "base64 with foreign characters, which were skipped",
        "base64 that is broken or cut off was decoded as far as possible",
        "what follows the end of base64 data was left out",
    )


def test_charsets_that_are_not_for_mail_are_refused() -> None:
    mail = parsed("unknown-charset")
    assert mail.text == "Café \\x41\n"
    assert mail.subject == "Café+AOk-"
    assert set(mail.notes) == {
        "charset 'x-klingon' is not supported, another one was guessed",
        "charset 'utf-7' is not supported, another one was guessed",
        "charset 'unicode-escape' is not supported, another one was guessed",
    }


def test_a_multipart_without_its_boundary_is_text() -> None:
    mail = parsed("missing-boundary")
    assert mail.text is not None
    assert "Hidden?" in mail.text
    assert mail.notes == ("a multipart body without its boundary was taken as text",)


def test_a_multipart_that_names_no_boundary_is_text() -> None:
    mail = parsed("no-boundary")
    assert mail.text == "Just text\n"
    assert mail.notes == ("a multipart body that names no boundary was taken as text",)


def test_500_nested_comments_do_no_harm() -> None:
    mail = parsed("parentheses")
    assert (mail.to, mail.subject, mail.text) == ((), "Nested comments", "body\n")
    assert mail.notes == ("an address field has a comment without end",)


def test_a_forwarded_mail_is_an_attachment_as_it_was_received() -> None:
    mail = parsed("forwarded")
    assert (mail.text, mail.subject) == ("See below.", "Fwd: original")
    original = parse(of_type("message/rfc822", mail).content)
    assert (original.subject, original.text) == ("original", "inner text")


def test_an_invitation_is_an_attachment_beside_its_text() -> None:
    mail = parsed("calendar")
    assert (mail.text, mail.html) == ("You are invited.", "<p>You are invited.</p>")
    assert of_type("text/calendar", mail).content.startswith(b"BEGIN:VCALENDAR\r\n")


def test_an_empty_mail_is_empty() -> None:
    assert parsed("empty") == ParsedMail(None, None, None, None, (), (), (), {}, None, None, (), ())


def test_a_mail_may_end_with_its_header() -> None:
    mail = parsed("header-only")
    assert (mail.message_id, mail.subject) == ("<13@example.com>", "Nothing to add")
    assert (mail.text, mail.notes) == (None, ())


def test_a_mail_may_lack_a_header() -> None:
    mail = parsed("no-header")
    assert mail.text == "Hello, this has no header.\nSubject: not one\n\nReally.\n"
    assert mail.subject is None
    assert mail.notes == ("the header section ended without an empty line",)


def test_an_internationalized_header_is_utf_8() -> None:
    mail = parsed("smtputf8")
    assert mail.subject == "Grüße ✓"
    assert mail.message_id == "<14@münchen.example>"
    assert mail.from_ == Mailbox("Jürgen", "jürgen@münchen.example")
    assert mail.to == (Mailbox("Лев, Толстой", "лев@пример.example"),)
    assert mail.notes == ()


def test_a_bounce_has_its_report_as_attachment() -> None:
    mail = parsed("bounce")
    assert mail.text == "I'm sorry to have to inform you."
    assert b"Status: 5.1.1" in of_type("message/delivery-status", mail).content
    assert of_type("text/rfc822-headers", mail).content == b"Subject: Hello"


def test_address_lists_may_be_odd() -> None:
    mail = parsed("groups")
    assert mail.to == (
        Mailbox('Ann "A" Author', "ann@example.com"),
        Mailbox("Böb", "bob@example.org"),
        Mailbox("", "carol@example.org"),
        Mailbox("", "dan@[IPv6:2001:db8::1]"),
        Mailbox("", '"odd local"@example.org'),
        Mailbox("Erin (from (home))", "erin@example.org"),
    )
    assert mail.cc == ()


def test_of_a_repeated_field_the_first_counts() -> None:
    mail = parsed("groups")
    assert (mail.subject, mail.date) == ("First", None)
    assert mail.from_ == Mailbox("", "a@example.com")
    assert set(mail.notes) == {
        "there are 2 subject fields, the first one is given",
        "there are 2 from fields, the first one is given",
        "the From field has several mailboxes, the first one is given",
        "the Date field is not a date",
    }


def test_a_mail_that_was_cut_off_keeps_what_there_is() -> None:
    mail = parsed("unclosed")
    assert mail.text == "first\nsecond, and then the connection\n"
    assert mail.notes == ("a multipart body has no end",)


def test_the_first_line_of_an_mbox_is_skipped() -> None:
    mail = parsed("mbox")
    assert (mail.subject, mail.text) == ("From a file", "From here on it is text.\n")


def test_tnef_and_empty_files_are_attachments() -> None:
    mail = parsed("tnef")
    assert mail.text == "Привет"
    assert of_type("application/ms-tnef", mail).filename == "winmail.dat"
    assert of_type("application/zip", mail).size == 0


def test_one_boundary_for_two_levels_loses_no_part() -> None:
    mail = parsed("reused-boundary")
    assert (mail.text, mail.html) == ("plain", "<p>html</p>")
    assert of_type("application/octet-stream", mail).content == b"data"


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_line_ends_become_newlines(line_end: bytes) -> None:
    raw = (MAILS / "nested.eml").read_bytes().replace(b"\r\n", line_end)
    assert parse(raw).text == "Plain body\nFooter of the list"
    assert parse(b"\n\none\r\ntwo\rthree\n").text == "\none\ntwo\nthree\n"


def test_an_unnamed_charset_is_guessed_with_a_note() -> None:
    utf8, other = parse("\n\né".encode()), parse("\n\né".encode("latin-1"))
    assert (utf8.text, utf8.notes) == ("\né", ())
    assert other.text == "\né"
    assert other.notes == ("text without a valid charset was read as windows-1252",)


JIS = "日本語のメール".encode("iso2022-jp")
READ_AS_JIS = "text without a valid charset was read as iso-2022-jp"


@pytest.mark.parametrize("charset", [b"", b"Content-Type: text/plain; charset=us-ascii\r\n"])
def test_japanese_text_is_known_by_its_escapes_with_a_note(charset: bytes) -> None:
    mail = parse(charset + b"\r\n" + JIS)
    assert (mail.text, mail.notes) == ("日本語のメール", (READ_AS_JIS,))


def test_a_japanese_subject_is_known_by_its_escapes_with_a_note() -> None:
    mail = parse(b"Subject: Re: " + JIS + b"\r\n\r\n")
    assert (mail.subject, mail.notes) == ("Re: 日本語のメール", (READ_AS_JIS,))


def test_escapes_hide_no_address() -> None:
    mail = parse(b"From: eve@example.net \x1b$B<ann@example.com>!\x1b(B\r\n\r\n")
    assert mail.from_ is not None
    assert mail.from_.address == "ann@example.com"
    assert mail.notes == (
        "an address field has a comment without end",
        "control characters in a header field were replaced by spaces",
    )


def test_japanese_text_beyond_the_standard_is_read_as_far_as_can_be() -> None:
    mail = parse(b"\r\n\x1b$BF|-!K\\\x1b(B")
    assert mail.text == "日\N{REPLACEMENT CHARACTER}本"
    assert mail.notes == (
        READ_AS_JIS,
        "not all of the text is valid iso-2022-jp, the rest was replaced by U+FFFD",
    )


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "\x1b$)C\x0eGQ\x0f", "é \x1b$B4A\x1b(B"])
def test_other_escapes_stay(text: str) -> None:
    mail = parse(b"\r\n" + text.encode())
    assert (mail.text, mail.notes) == (text, ())


def test_what_json_readers_stumble_over_is_replaced_with_a_note() -> None:
    mail = parse(b"Subject: a\0b =?utf-8?q?=0D=0Ax=00?=\r\n\r\na\0b\xed\xa0\x80")
    assert mail.subject == "a\N{REPLACEMENT CHARACTER}b   x\N{REPLACEMENT CHARACTER}"
    assert mail.text is not None
    assert mail.text.startswith("a\N{REPLACEMENT CHARACTER}b")
    mail.text.encode()
    assert "NUL characters were replaced by U+FFFD" in mail.notes


@pytest.mark.parametrize("raw", [b"Subject: a\0b\r\n\r\n", b"\r\na\0b"])
def test_nul_is_replaced_with_a_note(raw: bytes) -> None:
    mail = parse(raw)
    assert (mail.subject or mail.text) == "a\N{REPLACEMENT CHARACTER}b"
    assert mail.notes == ("NUL characters were replaced by U+FFFD",)


@pytest.mark.parametrize("control", [b"\r", b"\x01", b"\x1b", b"\x7f"])
def test_control_characters_in_a_field_become_spaces_with_a_note(control: bytes) -> None:
    mail = parse(b"Subject: a" + control + b"b\r\n\r\n")
    assert mail.subject == "a b"
    assert mail.notes == ("control characters in a header field were replaced by spaces",)


def test_what_is_no_part_of_the_text_goes_without_a_note() -> None:
    mail = parse(b"Subject: a\tb\r\n\tc\r\n\r\n\xef\xbb\xbfone\rtwo")
    assert (mail.subject, mail.text, mail.notes) == ("a b c", "one\ntwo", ())


def test_an_encoded_word_that_is_broken_is_left_as_it_is() -> None:
    mail = parse(b"Subject: a =?utf-8?b?A?= b\r\n\r\n")
    assert mail.subject == "a =?utf-8?b?A?= b"
    assert mail.notes == ("an encoded word with broken base64 was left as it is",)


def test_a_continued_file_name_may_lack_a_segment() -> None:
    mail = parse(b"Content-Type: a/b; name*0=rep; name*1=ort; name*3=.txt\r\n\r\n")
    assert mail.attachments[0].filename == "report"
    assert mail.notes == ("a continued parameter lacks a segment",)


def test_a_file_name_beside_the_only_text_does_not_hide_it() -> None:
    assert parse(b"Content-Type: text/plain; name=body.txt\r\n\r\nhello").text == "hello"


def test_a_mail_that_is_an_attached_text_has_no_text() -> None:
    mail = parse(b"Content-Disposition: attachment\r\nContent-Type: text/html\r\n\r\n<p>")
    assert (mail.html, of_type("text/html", mail).content) == (None, b"<p>")


@pytest.mark.parametrize("content_type", ["nonsense", "a/b/c", "text", ";charset=utf-8", ""])
def test_an_invalid_content_type_means_text(content_type: str) -> None:
    assert parse(f"Content-Type: {content_type}\r\n\r\nbody".encode()).text == "body"


@pytest.mark.parametrize(
    ("content_type", "meant"),
    [
        ("image/png name=a.png", "image/png"),
        ("IMAGE / PNG; name=a.png", "image/png"),
        ("image/png, name=a.png", "image/png"),
    ],
)
def test_a_content_type_without_semicolon_still_counts(content_type: str, meant: str) -> None:
    mail = parse(f"Content-Type: {content_type}\r\n\r\nx".encode())
    assert [file.content_type for file in mail.attachments] == [meant]
    assert len(mail.notes) == 1


def test_an_uuencoded_file_is_decoded() -> None:
    field = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    content = bytes(range(256)) * 3
    lines = [b2a_uu(content[start : start + 45]) for start in range(0, len(content), 45)]
    mail = parse(field + b"note\r\nbegin 644 a.pdf\r\n" + b"".join(lines) + b"`\r\nend\r\nrest")
    assert [file.content for file in mail.attachments] == [content]
    assert mail.notes == ()


def test_a_comma_between_two_mailboxes_may_be_missing() -> None:
    mail = parse(b'To: Ann <ann@example.com> "Bob" (b) <bob@example.org>, c@d.e\r\n\r\n')
    assert mail.to == (
        Mailbox("Ann", "ann@example.com"),
        Mailbox("Bob", "bob@example.org"),
        Mailbox("", "c@d.e"),
    )


def test_what_a_multipart_without_parts_says_is_text() -> None:
    mail = parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\nHello\r\n--b--\r\n")
    assert mail.text == "Hello\n--b--\n"
    assert mail.notes == ("a multipart body without parts was taken as text",)


def test_an_unknown_transfer_encoding_is_left_as_it_is() -> None:
    mail = parse(b"Content-Transfer-Encoding: x-gzip\r\n\r\nM86")
    assert mail.text == "M86"
    assert mail.notes == ("transfer encoding 'x-gzip' is not known, left as it is",)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
TEXTS = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)


@given(
    text=TEXTS,
    html=st.none() | TEXTS,
    files=st.lists(st.binary(max_size=200), max_size=3),
    encoding=st.sampled_from(["quoted-printable", "base64", "8bit"]),
)
def test_what_pythons_email_package_writes_is_read_back(
    text: str, html: str | None, files: list[bytes], encoding: str
) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["To"] = "Bob <bob@example.org>"
    message.set_content(text, cte=encoding)
    if html is not None:
        message.add_alternative(html, subtype="html", cte=encoding)
    for content in files:
        message.add_attachment(content, "application", "x-test", filename="ä.bin")
    mail = parse(message.as_bytes())
    assert mail.text == f"{text}\n"
    assert mail.html == (None if html is None else f"{html}\n")
    assert [(file.filename, file.content) for file in mail.attachments] == [
        ("ä.bin", content) for content in files
    ]
    assert mail.notes == ()
