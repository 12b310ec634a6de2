"""Charsets, in each transfer encoding and in encoded words, and where they lie."""

from collections.abc import Iterator

from tests.support.made_mails.writing import Made, base64, mail, quoted

TEXTS = {
    "us-ascii": ("ascii", "Nothing special."),
    "utf-8": ("utf-8", "Grüße, Ελλάδα, 日本語 🎉"),
    "iso-8859-1": ("latin-1", "Grüße, señor"),
    "windows-1252": ("cp1252", "“Grüße” – 10 €"),
    "iso-8859-2": ("iso8859-2", "Zażółć gęślą jaźń"),
    "windows-1250": ("cp1250", "Zażółć gęślą jaźń"),
    "iso-8859-15": ("iso8859-15", "10 € œuvre"),
    "iso-8859-5": ("iso8859-5", "Привет, мир"),
    "koi8-r": ("koi8-r", "Привет, мир"),
    "koi8-u": ("koi8-u", "Привіт, світе ґ"),
    "windows-1251": ("cp1251", "Привет, мир"),
    "ibm866": ("cp866", "Привет, мир"),
    "iso-8859-7": ("iso8859-7", "Καλημέρα κόσμε"),
    "windows-1253": ("cp1253", "Καλημέρα κόσμε"),
    "iso-8859-8": ("iso8859-8", "שלום עולם"),
    "windows-1255": ("cp1255", "שלום עולם"),
    "iso-8859-6": ("iso8859-6", "مرحبا"),
    "windows-1256": ("cp1256", "مرحبا"),
    "iso-8859-9": ("iso8859-9", "İyi günler, ağaç"),
    "windows-1254": ("cp1254", "İyi günler, ağaç"),
    "windows-1257": ("cp1257", "Ačiū, ąžuolas"),
    "windows-1258": ("cp1258", "Xin chào"),
    "tis-620": ("tis-620", "สวัสดี"),
    "macintosh": ("mac-roman", "Grüße"),
    "shift_jis": ("shift_jis", "こんにちは、世界"),
    "euc-jp": ("euc-jp", "こんにちは、世界"),
    "iso-2022-jp": ("iso2022-jp", "こんにちは、世界"),
    "gb2312": ("gb2312", "你好，世界"),
    "gbk": ("gbk", "你好，世界"),
    "gb18030": ("gb18030", "你好，世界 🎉"),
    "hz-gb-2312": ("hz", "你好，世界"),
    "big5": ("big5", "你好，世界"),
    "euc-kr": ("euc-kr", "안녕하세요"),
    "iso-2022-kr": ("iso2022-kr", "안녕하세요"),
    "utf-16": ("utf-16", "Grüße, 日本語 🎉"),
    "utf-16le": ("utf-16-le", "Grüße, 日本語"),
    "utf-16be": ("utf-16-be", "Grüße, 日本語"),
}
"""Name in mails: codec and a text of it."""

RUSSIAN = "Привет, мир"
JAPANESE = "こんにちは、世界"

LIES: list[tuple[str, bytes, bytes, str | None]] = [
    ("utf-8-as-ascii", b"us-ascii", "Grüße".encode(), "Grüße"),
    ("windows-1252-as-ascii", b"us-ascii", "Grüße".encode("cp1252"), "Grüße"),
    ("windows-1252-as-latin-1", b"iso-8859-1", "“10 €”".encode("cp1252"), "“10 €”"),
    ("latin-1-as-utf-8", b"utf-8", b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
    ("koi8-r-as-latin-1", b"iso-8859-1", RUSSIAN.encode("koi8-r"), None),
    ("gbk-as-gb2312", b"gb2312", "朱镕基".encode("gbk"), "朱镕基"),
    ("cp932-as-shift-jis", b"shift_jis", "①髙".encode("cp932"), "①髙"),
    ("uhc-as-ks-c-5601", b"ks_c_5601-1987", "똠방".encode("cp949"), "똠방"),
    ("utf-8-with-bom", b"utf-8", b"\xef\xbb\xbfHello", "Hello"),
    ("utf-16-without-bom", b"utf-16", "Hello".encode("utf-16-le"), "Hello"),
    ("utf-16-odd", b"utf-16", b"\xff\xfeH\x00i\x00!", "Hi\ufffd"),
    ("utf-16-lone-surrogate", b"utf-16le", b"a\x00\x00\xd8b\x00", None),
    ("utf-16-as-utf-8", b"utf-8", "Hello".encode("utf-16"), None),
    ("utf-8-surrogates", b"utf-8", b"a\xed\xa0\x80\xed\xb0\x80b", None),
    ("utf-8-overlong", b"utf-8", b"a\xc0\xafb", "a\ufffd\ufffdb"),
    ("utf-8-beyond-unicode", b"utf-8", b"a\xf7\xbf\xbf\xbfb", None),
    ("utf-8-cut", b"utf-8", "日本".encode()[:-1], "日\ufffd"),
    ("utf-7", b"utf-7", b"Hi Mom +Jjo-!", "Hi Mom +Jjo-!"),
    ("utf-32", b"utf-32", "Hi".encode("utf-32"), None),
    ("unicode-escape", b"unicode_escape", rb"\u0041", r"\u0041"),
    ("rot13", b"rot13", b"Uryyb", "Uryyb"),
    ("punycode", b"punycode", b"bcher-kva", "bcher-kva"),
    ("base64-as-charset", b"base64", b"SGVsbG8=", "SGVsbG8="),
    ("unknown", b"x-klingon", b"Qapla'", "Qapla'"),
    ("unknown-8-bit", b"x-klingon", b"Gr\xfc\xdfe", "Grüße"),
    ("placeholder", b"%CHARSET%", b"Hello", "Hello"),
    ("empty-name", b'""', b"Hello", "Hello"),
    ("quoted-name", b'"UTF-8"', "Grüße".encode(), "Grüße"),
    ("name-with-comment", b"utf-8 (Unicode)", "Grüße".encode(), "Grüße"),
    ("single-quoted-name", b"'utf-8'", "Grüße".encode(), "Grüße"),
    ("endless-name", b"x" * 5_000, b"Hello", "Hello"),
    ("name-of-8-bit", b"\xff\xfe", b"Hello", "Hello"),
    ("name-with-nul", b"utf-8\x00", b"Hello", "Hello"),
    ("jis-as-ascii", b"us-ascii", JAPANESE.encode("iso2022-jp"), JAPANESE),
    ("jis-escape-cut", b"iso-2022-jp", JAPANESE.encode("iso2022-jp")[:-4], None),
    ("jis-never-back", b"iso-2022-jp", JAPANESE.encode("iso2022-jp")[:-3], JAPANESE),
    ("jis-half-a-character", b"iso-2022-jp", b"\x1b$B$3$", None),
    ("jis-unknown-escape", b"iso-2022-jp", b"a\x1b%Zb", None),
    ("jis-8-bit", b"iso-2022-jp", JAPANESE.encode("shift_jis"), None),
    ("jis-kana", b"iso-2022-jp", b"\x1b(I1\x1b(B", None),
    ("jis-escape-lost", b"iso-2022-jp", b"$3$s$K$A$O", "$3$s$K$A$O"),
    ("jis-many-escapes", b"iso-2022-jp", b"\x1b$B\x1b(B" * 50 + b"x", "x"),
    ("kr-without-designator", b"iso-2022-kr", b"\x0e>H\x0f", None),
    ("hz-cut", b"hz-gb-2312", b"~{<:J)K", None),
    ("gb18030-cut", b"gb18030", "🎉".encode("gb18030")[:-1], None),
    ("shift-jis-cut", b"shift_jis", JAPANESE.encode("shift_jis")[:-1], None),
    ("euc-jp-cut", b"euc-jp", JAPANESE.encode("euc-jp")[:-1], None),
    ("big5-invalid", b"big5", b"a\xff\xffb", None),
    ("nul", b"utf-8", b"a\x00b", "a\ufffdb"),
    ("controls", b"utf-8", bytes(range(1, 9)) + b"\x0b\x0c\x0e\x7f", None),
    ("all-octets", b"utf-8", bytes(range(256)), None),
    ("all-octets-unnamed", b"us-ascii", bytes(range(256)), None),
    ("line-separators", b"utf-8", "a\u2028b\u0085c".encode(), "a\u2028b\u0085c"),
    ("noncharacters", b"utf-8", "a\uffff\ufdd0b".encode(), "a\uffff\ufdd0b"),
    ("right-to-left", b"utf-8", "a\u202eb".encode(), "a\u202eb"),
]
"""Name, charset as it is named, octets, and the text that is to come of them, if one is right."""


def mails() -> Iterator[Made]:
    """Yield a mail for each charset and encoding, and for each lie."""
    for charset, (codec, text) in TEXTS.items():
        octets = text.encode(codec)
        yield from _in_each_encoding(charset, octets, text)
        yield _in_header(charset, octets, text)
    for name, charset_, octets, told in LIES:
        field = b"Content-Type: text/plain; charset=" + charset_
        raw = mail(field, b"Content-Transfer-Encoding: base64", body=base64(octets))
        yield Made(f"charset-lie-{name}", raw, {} if told is None else {"text": told})
        if b"\x00" not in octets:
            yield Made(f"charset-lie-{name}-8bit", mail(field, body=octets))


def _in_each_encoding(charset: str, octets: bytes, text: str) -> Iterator[Made]:
    field = f"Content-Type: text/plain; charset={charset}".encode()
    bodies = {"8bit": octets, "quoted-printable": quoted(octets), "base64": base64(octets)}
    for encoding, body in bodies.items():
        raw = mail(field, f"Content-Transfer-Encoding: {encoding}".encode(), body=body)
        yield Made(f"charset-{charset}-{encoding}", raw, {"text": text})


def _in_header(charset: str, octets: bytes, text: str) -> Made:
    name = charset.upper().encode()
    b_word = b"=?%b?B?%b?=" % (name, base64(octets).replace(b"\r\n", b""))
    q_word = b"=?%b?Q?%b?=" % (name, b"".join(b"=%02X" % octet for octet in octets))
    attached = b"Content-Disposition: attachment; filename*=%b''%b" % (
        name,
        b"".join(b"%%%02X" % octet for octet in octets),
    )
    raw = mail(
        b"Subject: " + b_word,
        b"Reply-To: " + q_word + b" <ann@example.com>",
        b"Content-Type: application/pdf",
        attached,
    )
    reply_to = [{"name": text, "address": "ann@example.com"}]
    expected = {"subject": text, "reply_to": reply_to, "attachments": [text]}
    return Made(f"charset-{charset}-header", raw, expected)
