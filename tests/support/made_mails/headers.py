"""Header fields in all the shapes that they come in."""

from collections.abc import Iterator

from tests.support.made_mails.writing import ENVELOPE, Made, lines, mail

SUBJECTS: list[tuple[str, bytes, str | None]] = [
    ("plain", b"Hello", "Hello"),
    ("empty", b"", None),
    ("blank", b" \t ", None),
    ("folded", b"a\r\n b\r\n\tc", "a b c"),
    ("folded-blank-line", b"a\r\n \r\n b", None),
    ("folded-in-a-word", b"=?utf-8?q?a\r\n b?=", None),
    ("words-of-two-charsets", b"=?utf-8?q?a=C3=A4?= =?koi8-r?b?8NLJ18XU?=", "aäПривет"),
    ("space-between-words-goes", b"=?utf-8?q?a?=  \r\n =?utf-8?q?b?=", "ab"),
    ("space-beside-text-stays", b"a =?utf-8?q?b?= c", "a b c"),
    ("word-touches-text", b"a=?utf-8?q?b?=c", "abc"),
    ("underscores", b"=?utf-8?q?a_b=5Fc?=", "a b_c"),
    ("spaces-in-a-word", b"=?utf-8?q?a b?=", "a b"),
    ("lower-case-hex", b"=?utf-8?q?=c3=a4?=", "ä"),
    ("character-over-two-words", b"=?utf-8?b?w6TDtg==?= =?utf-8?b?w7w=?=", "äöü"),
    ("octets-of-one-character-apart", b"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"),
    ("base64-without-padding", b"=?utf-8?b?SGVsbG8?=", "Hello"),
    ("base64-broken", b"=?utf-8?b?SGVsb?=", None),
    ("base64-foreign", b"=?utf-8?b?SGV!sbG8=?=", None),
    ("base64-empty", b"=?utf-8?b??=", None),
    ("q-empty", b"a =?utf-8?q??= b", None),
    ("q-broken", b"=?utf-8?q?a=ZZb=?=", None),
    ("unknown-encoding", b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
    ("unknown-charset", b"=?x-klingon?q?abc?=", "abc"),
    ("without-charset", b"=??q?abc?=", "=??q?abc?="),
    ("language", b"=?utf-8*en?q?abc?=", "abc"),
    ("without-end", b"=?utf-8?q?abc", "=?utf-8?q?abc"),
    ("without-text", b"=?utf-8?q", "=?utf-8?q"),
    ("question-mark-in-q", b"=?utf-8?q?a?b?=", None),
    ("quoted", b'"=?utf-8?q?abc?="', '"abc"'),
    ("word-in-a-word", b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fabc=3F=3D?=", "=?utf-8?q?abc?="),
    ("nul", b"a\x00b", "a\ufffdb"),
    ("nul-in-a-word", b"=?utf-8?q?a=00b?=", "a\ufffdb"),
    ("line-end-in-a-word", b"=?utf-8?q?a=0D=0AX-Evil:_b?=", "a  X-Evil: b"),
    ("bare-cr", b"a\rX-Evil: b", "a X-Evil: b"),
    ("utf-8", "Grüße".encode(), "Grüße"),
    ("latin-1", b"Gr\xfc\xdfe", "Grüße"),
    ("gb2312-raw", "你好".encode("gbk"), None),
    ("utf-8-cut", "日本".encode()[:-1], None),
    ("utf-8-beside-word", "ä =?utf-8?q?b?=".encode(), "ä b"),
    ("jis-raw", "日本".encode("iso2022-jp"), "日本"),
    ("surrogates", b"=?utf-8?q?=ED=A0=80?=", None),
    ("bom", b"=?utf-8?b?77u/SGk=?=", "Hi"),
    ("utf-16", b"=?utf-16?b?/v8ASABp?=", "Hi"),
    ("utf-7", b"=?utf-7?q?+AGE-?=", "+AGE-"),
    ("unicode-escape", rb"=?unicode_escape?q?=5Cu0041?=", r"\u0041"),
    ("very-long-word", b"=?utf-8?q?" + b"a" * 5_000 + b"?=", "a" * 5_000),
    ("many-words", b" ".join([b"=?utf-8?q?a?="] * 2_000), "a" * 2_000),
    ("long-line", b"x" * 100_000, "x" * 100_000),
    ("tabs", b"a\tb", "a b"),
    ("emoji", b"=?utf-8?b?8J+OiQ==?=", "🎉"),
    ("controls", b"a\x01\x1b[31mb", None),
    ("delete", b"a\x7fb", "a b"),
]
"""Name, value, and the subject that is to come of it, if one is right; None may mean that, too."""

AUTHORS: list[tuple[str, bytes, tuple[str, str] | None]] = [
    ("bare", b"ann@example.com", ("", "ann@example.com")),
    ("angle", b"<ann@example.com>", ("", "ann@example.com")),
    ("name", b"Ann Author <ann@example.com>", ("Ann Author", "ann@example.com")),
    ("quoted", b'"Author, Ann" <ann@example.com>', ("Author, Ann", "ann@example.com")),
    ("escapes", rb'"Ann \"A\" Author" <ann@example.com>', ('Ann "A" Author', "ann@example.com")),
    ("comment", b"ann@example.com (Ann Author)", ("Ann Author", "ann@example.com")),
    ("word", b"=?utf-8?q?Ann_=C3=84?= <ann@example.com>", ("Ann Ä", "ann@example.com")),
    ("quoted-word", b'"=?utf-8?q?Ann?=" <ann@example.com>', ("Ann", "ann@example.com")),
    ("utf-8", "Ärne <arne@exämple.com>".encode(), ("Ärne", "arne@exämple.com")),
    ("latin-1", b"\xc4rne <arne@example.com>", ("Ärne", "arne@example.com")),
    ("no-space", b"Ann<ann@example.com>", ("Ann", "ann@example.com")),
    ("unclosed", b"Ann <ann@example.com", ("Ann", "ann@example.com")),
    ("unclosed-quote", b'"Ann <ann@example.com>', None),
    ("route", b"<@a.example,@b.example:ann@example.com>", ("", "ann@example.com")),
    ("quoted-local-part", b'"ann author"@example.com', ("", '"ann author"@example.com')),
    ("literal", b"ann@[192.0.2.1]", ("", "ann@[192.0.2.1]")),
    ("literal-6", b"<ann@[IPv6:2001:db8::1]>", ("", "ann@[IPv6:2001:db8::1]")),
    ("two", b"ann@example.com, bob@example.org", ("", "ann@example.com")),
    ("group", b"team: ann@example.com, bob@example.org;", ("", "ann@example.com")),
    ("empty-group", b"undisclosed-recipients:;", None),
    ("null", b"<>", None),
    ("no-at", b"MAILER-DAEMON", None),
    ("name-only", b"Ann Author", None),
    ("two-addresses", b"a@example.com <ann@example.com>", ("a@example.com", "ann@example.com")),
    ("two-angles", b"Ann <ann@example.com> Bob <b@example.com>", ("Ann", "ann@example.com")),
    ("folded", b"Ann\r\n Author\r\n <ann@example.com>", ("Ann Author", "ann@example.com")),
    ("nested-comments", b"Ann (a (b (c))) <ann@example.com>", ("Ann", "ann@example.com")),
    ("line-end-encoded", b"=?utf-8?q?Ann=0D=0ABcc:_x?= <ann@example.com>", None),
    ("address-encoded", b"=?utf-8?q?ann=40example.com?=", None),
    ("500-brackets", b"(" * 500, None),
    ("semicolons", b"ann@example.com; bob@example.org", ("", "ann@example.com")),
    ("nul", b"Ann\x00 <ann@example.com>", None),
]
"""Name, value of From, and the mailbox that is to come of it, if one is right."""

DATES: list[tuple[bytes, str | None]] = [
    (b"Mon, 6 Jan 2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 06 Jan 2025 10:00:00 +0100", "2025-01-06T09:00:00Z"),
    (b"6 Jan 2025 10:00:00 -0500", "2025-01-06T15:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 GMT", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 EST", "2025-01-06T15:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 PDT", "2025-01-06T17:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 -0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 +0000 (UTC)", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 +0100 (Central European\r\n Time)", "2025-01-06T09:00:00Z"),
    (b"Mon, 6 Jan 25 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 99 10:00:00 +0000", "1999-01-06T10:00:00Z"),
    (b"mon, 6 JAN 2025 10:00:00 gmt", "2025-01-06T10:00:00Z"),
    (b"Monday, 6 January 2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon,6 Jan 2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon 6 Jan 2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"  Mon,  6  Jan  2025  10:00:00  +0000  ", "2025-01-06T10:00:00Z"),
    (b"Mon,\r\n 6 Jan 2025\r\n 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Fri, 6 Jan 2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon Jan  6 10:00:00 2025", "2025-01-06T10:00:00Z"),
    (b"Mon, 6-Jan-2025 10:00:00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10.00.00 +0000", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 +0530", "2025-01-06T04:30:00Z"),
    (b"Tue, 31 Dec 2024 23:59:60 +0000", None),
    (b"Mon, 32 Jan 2025 10:00:00 +0000", None),
    (b"Mon, 6 Foo 2025 10:00:00 +0000", None),
    (b"Mon, 6 Jan 2025 25:00:00 +0000", None),
    (b"Mon, 6 Jan 0001 00:00:00 +2300", None),
    (b"31 Dec 9999 23:59:59 -2359", None),
    (b"Mon, 6 Jan 2025 10:00:00 +99999999", None),
    (b"2025-01-06T10:00:00Z", None),
    (b"2025-01-06 10:00:00", None),
    (b"1736157600", None),
    (b"01/06/2025 10:00", None),
    (b"now", None),
    (b"", None),
    (b"=?utf-8?q?Mon,_6_Jan_2025_10:00:00_+0000?=", "2025-01-06T10:00:00Z"),
    (b"Mon, 6 Jan 2025 10:00:00 +0000 \xff", None),
    ("2025年1月6日".encode(), None),
]
"""Value of Date, and the moment that is to come of it; None: any or none."""

SECTIONS: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("one-line-end", b"\r\n"),
    ("only-body", b"\r\nHello\r\n"),
    ("only-text", b"Hello\r\n"),
    ("no-line-end", b"Subject: Hello"),
    ("mbox", b"From ann@example.com Mon Jan  6 10:00:00 2025\r\nSubject: Hello\r\n\r\nHello\r\n"),
    ("quoted-mbox", b">From ann@example.com Mon Jan  6\r\nSubject: Hello\r\n\r\nHello\r\n"),
    ("bom", b"\xef\xbb\xbfSubject: Hello\r\n\r\nHello\r\n"),
    ("utf-16", "Subject: Hello\r\n\r\nHello\r\n".encode("utf-16")),
    ("line-feeds", b"Subject: Hello\n\nHello\n"),
    ("carriage-returns", b"Subject: Hello\r\rHello\r"),
    ("mixed-ends", b"Subject: Hello\nX-A: b\r\n\nHello\r\n"),
    ("lf-then-crlf", b"Subject: Hello\n\r\nHello\r\n"),
    ("space-before-colon", b"Subject : Hello\r\n\r\nHello\r\n"),
    ("space-in-name", b"My Subject: Hello\r\n\r\nHello\r\n"),
    ("only-colon", b": Hello\r\n\r\nHello\r\n"),
    ("no-colon", b"Subject: Hello\r\nnonsense\r\nX-A: b\r\n\r\nHello\r\n"),
    ("starts-folded", b" folded\r\nSubject: Hello\r\n\r\nHello\r\n"),
    ("8-bit-name", "Sübject: Hello\r\n\r\nHello\r\n".encode()),
    ("nul-name", b"Sub\x00ject: Hello\r\n\r\nHello\r\n"),
    ("nuls", b"\x00" * 1_000),
    ("high-octets", b"\xff" * 1_000),
    ("carriage-returns-only", b"\r" * 1_000),
    ("line-ends-only", b"\r\n" * 1_000),
    ("space-line-ends-header", b"Subject: Hello\r\n \r\nHello\r\n"),
    ("repeated", lines(*ENVELOPE, *ENVELOPE, b"Subject: one", b"Subject: two") + b"\r\nHello\r\n"),
    ("no-fields-of-mime", b"Content-Type\r\n\r\nHello\r\n"),
    ("10-000-fields", b"X-A: b\r\n" * 10_000 + b"Subject: late\r\n\r\nHello\r\n"),
    (
        "10-000-names",
        b"".join(b"X-%d: b\r\n" % n for n in range(10_000)) + b"\r\nHello\r\n",
    ),
    ("long-name", b"X" * 50_000 + b": b\r\n\r\nHello\r\n"),
    ("long-field", b"X-A: " + b"b" * 90_000 + b"\r\n\r\nHello\r\n"),
    ("folded-5-000-times", b"X-A: b" + b"\r\n c" * 5_000 + b"\r\n\r\nHello\r\n"),
    ("named-as-ours", b"id: x\r\nfrom: a\r\nnotes: b\r\n__proto__: c\r\n\r\nHello\r\n"),
    ("long-message-id", b"Message-ID: <" + b"a" * 2_000 + b">\r\n\r\nHello\r\n"),
    ("odd-message-id", b"Message-ID: =?utf-8?q?<a@b>?= \xff\x00\r\n\r\nHello\r\n"),
    ("empty-message-id", b"Message-ID:\r\n\r\nHello\r\n"),
    ("empty-values", b"From:\r\nTo:\r\nSubject:\r\nDate:\r\nCc:\r\nX-A:\r\n\r\nHello\r\n"),
    (
        "resent",
        lines(b"Resent-From: a@b.example", b"Bcc: c@b.example", b"Return-Path: <>")
        + b"\r\nHello\r\n",
    ),
    ("json-in-header", b'X-A: {"a": "\\u0000\\ud800"}\r\n\r\n{"b": "\\ud800"}\r\n'),
    ("template-in-header", b"X-A: {{.From}}${7*7}<%= 1 %>\r\n\r\n{{.From}}\r\n"),
]
"""Whole mails, the header section being what is special."""


def mails() -> Iterator[Made]:
    """Yield a mail for each."""
    for name, value, subject in SUBJECTS:
        expected = {"subject": subject, "text": "Hello\n"} if subject else {"text": "Hello\n"}
        if "blank-line" in name:
            expected = {}
        yield Made(f"subject-{name}", mail(b"Subject: " + value, body=b"Hello\r\n"), expected)
    for name, value, author in AUTHORS:
        told = {"header_from": {"name": author[0], "address": author[1]}} if author else {}
        yield Made(f"from-{name}", lines(b"From: " + value) + b"\r\nHello\r\n", told)
        yield Made(f"to-{name}", lines(b"To: " + value, b"Cc: " + value) + b"\r\nHello\r\n")
    for number, (value, moment) in enumerate(DATES):
        dated = {"date": moment} if moment else {}
        yield Made(f"date-{number:02}", lines(b"Date: " + value) + b"\r\nHello\r\n", dated)
    for name, raw in SECTIONS:
        yield Made(f"header-{name}", raw)
