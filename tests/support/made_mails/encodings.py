"""Transfer encodings, whole and damaged."""

from collections.abc import Iterator

from tests.support.made_mails.writing import Made, base64, mail, multipart, part, quoted, text

WORDS = b"It works.\r\n" * 40
BINARY = bytes(range(256)) * 8

BASE64: list[tuple[str, bytes, str | None]] = [
    ("one-line", base64(b"Hello, world").replace(b"\r\n", b""), "Hello, world"),
    ("long-line", base64(b"x" * 60_000).replace(b"\r\n", b""), "x" * 60_000),
    ("line-feeds", base64(WORDS).replace(b"\r\n", b"\n"), "It works.\n" * 40),
    ("no-padding", b"SGVsbG8", "Hello"),
    ("half-padding", b"SGk=\r\n", "Hi"),
    ("one-digit-over", b"SGVsbG8h\r\nS", "Hello!"),
    ("spaces", b" S G V s b G 8 h \r\n", "Hello!"),
    ("blank-lines", b"SGVs\r\n\r\n\r\nbG8h\r\n", "Hello!"),
    ("foreign-octet", b"SGVs!bG8h\r\n", None),
    ("foreign-octets-8-bit", b"SGVs\xff\xfe\xfdbG8h\r\n", None),
    ("nul-within", b"SGVs\x00bG8h\r\n", None),
    ("url-alphabet", b"8J-OiQ==\r\n", None),
    ("padding-within", b"SGk=SGk=\r\n", None),
    ("two-streams", b"SGk=\r\nSGk=\r\n", None),
    ("text-after", b"SGVsbG8h\r\n-- \r\nList footer, see https://example.com/\r\n", None),
    ("plain-text", b"Hello, I am no base64.\r\n", "Hello, I am no base64.\n"),
    ("html", b"<p>Hello, I am no base64.</p>\r\n", "<p>Hello, I am no base64.</p>\n"),
    ("padding-only", b"====\r\n", None),
    ("empty", b"", None),
    ("quoted-printable-within", b"SGVsbG8=3D\r\n", None),
    ("of-nul", b"AAAA\r\n", "\ufffd" * 3),
    ("twice", base64(base64(b"Hello")), "SGVsbG8=\n"),
]

QUOTED: list[tuple[str, bytes, str | None]] = [
    ("soft-breaks", b"Hello=\r\n, world=\r\n", "Hello, world"),
    ("soft-break-at-end", b"Hello=", None),
    ("soft-break-and-spaces", b"Hello= \t\r\n, world", "Hello, world"),
    ("line-feeds", b"Hello=\n, world\n", "Hello, world\n"),
    ("lower-case", b"Gr=c3=bc=c3=9fe", "Grüße"),
    ("no-hex", b"100=ZZ", "100=ZZ"),
    ("half-hex", b"100=4", None),
    ("sign-alone", b"a = b", "a = b"),
    ("two-signs", b"a == b", None),
    ("8-bit", "Grüße=20!".encode(), "Grüße !"),
    ("long-line", b"=C3=A4" * 10_000, "ä" * 10_000),
    ("trailing-spaces", b"Hello  \t\r\nworld", None),
    ("encoded-line-ends", b"a=0D=0Ab=0Ac=0Dd", "a\nb\nc\nd"),
    ("encoded-nul", b"a=00b", "a\ufffdb"),
    ("underscore", b"a_b", "a_b"),
    ("url", b"https://example.com/?a=3Db&c=3Dd", "https://example.com/?a=b&c=d"),
    ("unencoded-url", b"https://example.com/?a=b&c=d", None),
    ("all-octets", quoted(BINARY), None),
    ("twice", quoted(quoted("ä".encode())), "=C3=A4"),
    ("dots", b".=\r\n..\r\n", "...\n"),
]

NAMES: list[tuple[str, bytes, str | None]] = [
    ("upper-case", b"BASE64", "Hello"),
    ("comment", b"base64 (RFC 2045)", "Hello"),
    ("semicolon", b"base64;", "Hello"),
    ("spaces", b"  base64  ", "Hello"),
    ("quotes", b'"base64"', "Hello"),
    ("unknown", b"x-rot13", "SGVsbG8="),
    ("8-bit", b"8-bit", "SGVsbG8="),
    ("7-bit", b"7 bit", "SGVsbG8="),
    ("none", b"none", "SGVsbG8="),
    ("utf-8", b"utf-8", "SGVsbG8="),
    ("empty", b"", "SGVsbG8="),
    ("endless", b"x" * 5_000, "SGVsbG8="),
    ("octets", b"\xff\x00", "SGVsbG8="),
]
"""How base64 is named, and the text that `SGVsbG8=` is then."""

UUENCODED = (b"begin 644 hello.txt\r\n", b",2&5L;&\\L('=O<FQD\r\n", b"`\r\n", b"end\r\n")
YENC = (
    b"=ybegin line=128 size=12 name=hello.bin\r\n"
    + bytes((octet + 42) % 256 for octet in b"Hello, world")
    + b"\r\n=yend size=12\r\n"
)
BINHEX = (
    b'(This file must be converted with BinHex 4.0)\r\n:#h4jFJ"KEQ9XE`"849K8G(0!!!!!!!!!!!:\r\n'
)

ODD: list[tuple[str, tuple[bytes, ...], bytes, str | None]] = [
    ("uuencode", (b"Content-Transfer-Encoding: x-uuencode",), b"".join(UUENCODED), "Hello, world"),
    ("uuencode-cut", (b"Content-Transfer-Encoding: uuencode",), b"".join(UUENCODED[:2]), None),
    (
        "uuencode-broken",
        (b"Content-Transfer-Encoding: x-uue",),
        UUENCODED[0] + b"M\xff\xff~~~\r\n#\r\n" + b"".join(UUENCODED[2:]),
        None,
    ),
    (
        "uuencode-not",
        (b"Content-Transfer-Encoding: x-uuencode",),
        b"Hello, I am not.\r\n",
        "Hello, I am not.\n",
    ),
    ("uuencode-in-text", (), b"See this:\r\n" + b"".join(UUENCODED), None),
    ("yenc-in-text", (), YENC, None),
    ("yenc", (b"Content-Transfer-Encoding: x-yenc",), YENC, None),
    ("binhex", (b"Content-Type: application/mac-binhex40; name=hello.hqx",), BINHEX, None),
    ("binary", (b"Content-Transfer-Encoding: binary",), b"a\r\nb\x00c\xff", None),
    (
        "two-fields",
        (b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 7bit"),
        b"SGVsbG8=",
        "Hello",
    ),
]


def mails() -> Iterator[Made]:
    """Yield a mail for each, and for damaged base64 an attachment, too."""
    for name, body, told in BASE64:
        yield _encoded("base64", name, b"base64", body, told)
        entity = multipart(
            text(b"See the file."),
            part(
                b"Content-Type: application/pdf; name=a.pdf",
                b"Content-Transfer-Encoding: base64",
                body=body,
            ),
        )
        raw = mail(b"Content-Type: multipart/mixed; boundary=b", body=entity)
        expected = {"text": "See the file.", "attachments": ["a.pdf"]}
        yield Made(f"base64-file-{name}", raw, expected)
    for name, body, told in QUOTED:
        yield _encoded("quoted-printable", name, b"quoted-printable", body, told)
    for name, encoding, told in NAMES:
        yield _encoded("encoding-named", name, encoding, b"SGVsbG8=", told)
    for name, fields, body, told in ODD:
        expected_text = {} if told is None else {"text": told}
        yield Made(f"encoding-{name}", mail(*fields, body=body), expected_text)


def _encoded(kind: str, name: str, encoding: bytes, body: bytes, told: str | None) -> Made:
    raw = mail(
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: " + encoding,
        body=body,
    )
    return Made(f"{kind}-{name}", raw, {} if told is None else {"text": told})
