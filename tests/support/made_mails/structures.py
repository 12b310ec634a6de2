"""Bodies of parts: as mail programs write them, as standards have them, and broken."""

from collections.abc import Iterator

from tests.support.made_mails.formats import CALENDAR, PNG, REPORTS, WINMAIL
from tests.support.made_mails.writing import (
    Made,
    base64,
    container,
    file,
    mail,
    mail_of,
    multipart,
    part,
    text,
)

HTML = b"text/html"
ALTERNATIVE = container(b"alternative", text(b"Hello"), text(b"<p>Hello</p>", HTML), boundary=b"a")
IMAGE = part(
    b"Content-Type: image/png; name=logo.png",
    b"Content-ID: <logo@example.com>",
    b"Content-Disposition: inline; filename=logo.png",
    b"Content-Transfer-Encoding: base64",
    body=base64(PNG),
)
RELATED = container(
    b"related", text(b'<img src="cid:logo@example.com">', HTML), IMAGE, boundary=b"r"
)
PDF = file(b"a.pdf", b"%PDF-1.4", b"application/pdf")
EMPTY_FILE = part(b"Content-Type: a/b; name=empty", b"Content-Disposition: attachment")
FORWARDED = part(
    b"Content-Type: message/rfc822",
    body=mail(b"Subject: Inner", b"Content-Type: text/plain", body=b"inner"),
)
SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQ\r\n-----END PGP SIGNATURE-----\r\n"
Expected = dict[str, object]

WHOLE: list[tuple[str, bytes, Expected]] = [
    ("alternative", ALTERNATIVE, {"text": "Hello", "html": "<p>Hello</p>", "attachments": None}),
    ("related", RELATED, {"attachments": ["logo.png"], "text": None}),
    (
        "newsletter",
        container(
            b"mixed", container(b"related", ALTERNATIVE, IMAGE, boundary=b"r"), PDF, boundary=b"m"
        ),
        {"text": "Hello", "html": "<p>Hello</p>", "attachments": ["logo.png", "a.pdf"]},
    ),
    ("file-alone", PDF, {"text": None, "attachments": ["a.pdf"]}),
    ("image-alone", IMAGE, {"text": None, "attachments": ["logo.png"]}),
    ("files-alone", container(b"mixed", PDF, PDF), {"text": None, "attachments": ["a.pdf"] * 2}),
    (
        "text-file-alone",
        file(b"a.txt", b"Hello", b"text/plain"),
        {"text": None, "attachments": ["a.txt"]},
    ),
    ("html-alone", text(b"<p>Hello</p>", HTML), {"text": None, "html": "<p>Hello</p>"}),
    (
        "text-after-file",
        container(b"mixed", text(b"one"), PDF, text(b"two")),
        {"text": "one\ntwo", "attachments": ["a.pdf"]},
    ),
    ("empty-text", container(b"mixed", text(b""), PDF), {"text": None, "attachments": ["a.pdf"]}),
    ("empty-file", container(b"mixed", text(b"x"), EMPTY_FILE), {"attachments": ["empty"]}),
    ("empty-parts", container(b"mixed", text(b""), EMPTY_FILE, text(b"")), {"text": None}),
    (
        "forwarded",
        container(b"mixed", text(b"See"), FORWARDED),
        {"text": "See", "attachments": [None]},
    ),
    ("forwarded-alone", FORWARDED, {"text": None, "attachments": [None]}),
    (
        "forwarded-base64",
        part(
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
            body=base64(mail(b"Subject: Inner", body=b"inner")),
        ),
        {"text": None, "attachments": [None]},
    ),
    (
        "digest",
        container(b"digest", part(body=mail(body=b"a")), part(body=mail(body=b"b"))),
        {"attachments": [None, None]},
    ),
    ("digest-with-types", container(b"digest", FORWARDED), {"attachments": [None]}),
    ("parallel", container(b"parallel", text(b"a"), PDF), {"text": "a", "attachments": ["a.pdf"]}),
    (
        "unknown-multipart",
        container(b"x-own", text(b"a"), PDF),
        {"text": "a", "attachments": ["a.pdf"]},
    ),
    (
        "pgp-signed",
        container(
            b"signed",
            text(b"Hello"),
            part(b"Content-Type: application/pgp-signature; name=signature.asc", body=SIGNATURE),
            more=b'; micalg=pgp-sha256; protocol="application/pgp-signature"',
        ),
        {"text": "Hello", "attachments": ["signature.asc"]},
    ),
    (
        "pgp-encrypted",
        container(
            b"encrypted",
            part(b"Content-Type: application/pgp-encrypted", body=b"Version: 1\r\n"),
            part(b"Content-Type: application/octet-stream; name=encrypted.asc", body=SIGNATURE),
            more=b'; protocol="application/pgp-encrypted"',
        ),
        {"text": None, "attachments": [None, "encrypted.asc"]},
    ),
    ("pgp-inline", text(b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nHello\r\n" + SIGNATURE), {}),
    (
        "smime-signed",
        container(
            b"signed",
            text(b"Hello"),
            file(b"smime.p7s", b"0\x80", b"application/pkcs7-signature"),
            more=b'; micalg=sha-256; protocol="application/pkcs7-signature"',
        ),
        {"text": "Hello", "attachments": ["smime.p7s"]},
    ),
    (
        "smime-opaque",
        file(b"smime.p7m", b"0\x80", b"application/pkcs7-mime; smime-type=signed-data"),
        {"text": None, "attachments": ["smime.p7m"]},
    ),
    (
        "calendar",
        container(
            b"alternative",
            text(b"Invitation"),
            part(b"Content-Type: text/calendar; method=REQUEST; charset=utf-8", body=CALENDAR),
        ),
        {"text": "Invitation", "attachments": [None]},
    ),
    (
        "calendar-alone",
        part(b"Content-Type: text/calendar; method=REQUEST", body=CALENDAR),
        {"text": None, "attachments": [None]},
    ),
    ("calendar-file", file(b"invite.ics", CALENDAR, b"text/calendar"), {"text": None}),
    (
        "tnef",
        container(b"mixed", text(b"Hello"), file(b"winmail.dat", WINMAIL, b"application/ms-tnef")),
        {"text": "Hello", "attachments": ["winmail.dat"]},
    ),
    ("tnef-alone", file(b"winmail.dat", WINMAIL, b"application/ms-tnef"), {"text": None}),
    (
        "appledouble",
        container(
            b"appledouble",
            part(b"Content-Type: application/applefile; name=%a.pdf", body=b"\x00\x05\x16\x07"),
            PDF,
        ),
        {"attachments": ["%a.pdf", "a.pdf"]},
    ),
    (
        "form-data",
        container(
            b"form-data",
            part(b'Content-Disposition: form-data; name="field"', body=b"value"),
            part(b'Content-Disposition: form-data; name="f"; filename="a.txt"', body=b"x"),
        ),
        {"text": "value", "attachments": ["a.txt"]},
    ),
    ("partial", part(b"Content-Type: message/partial; id=a; number=1; total=2", body=b"x"), {}),
    (
        "external-body",
        part(
            b'Content-Type: message/external-body; access-type=URL; URL="https://example.com/"',
            body=b"Content-Type: image/png\r\n\r\n",
        ),
        {"attachments": [None]},
    ),
    ("global", part(b"Content-Type: message/global", body=mail(body=b"a")), {}),
    ("news", part(b"Content-Type: message/news", body=mail(body=b"a")), {}),
    ("markdown-alone", text(b"# Hello", b"text/markdown"), {}),
    ("enriched", text(b"<bold>Hello</bold>", b"text/enriched"), {}),
    (
        "amp",
        container(b"alternative", text(b"a"), text(b"<html amp4email>", b"text/x-amp-html")),
        {},
    ),
    ("vcard", container(b"mixed", text(b"a"), text(b"BEGIN:VCARD", b"text/vcard")), {}),
    (
        "format-flowed",
        part(b"Content-Type: text/plain; format=flowed; delsp=yes", body=b"a \r\nb\r\n> c\r\n"),
        {"text": "a \nb\n> c\n"},
    ),
    *((name, report, {}) for name, report in REPORTS.items()),
]
"""Name, entity with its fields, and what is to come of it."""

TYPES: list[tuple[bytes, Expected]] = [
    (b"text", {"text": "Hello"}),
    (b"text/", {"text": "Hello"}),
    (b"/plain", {"text": "Hello"}),
    (b"", {"text": "Hello"}),
    (b";", {"text": "Hello"}),
    (b"text/plain;", {"text": "Hello"}),
    (b"text/plain;;charset=utf-8", {"text": "Hello"}),
    (b"text/plain charset=utf-8", {"text": "Hello"}),
    (b"text/plain; charset", {"text": "Hello"}),
    (b"text/plain; charset=", {"text": "Hello"}),
    (b'text/plain; charset="utf-8', {"text": "Hello"}),
    (b"TEXT/PLAIN; CHARSET=UTF-8", {"text": "Hello"}),
    (b"text / plain", {"text": "Hello"}),
    (b"text / html", {"html": "Hello", "text": None}),
    (b"text/html charset=utf-8", {"html": "Hello", "text": None}),
    (b"image/png name=a.png", {"text": None, "attachments": [None]}),
    (b"text/plain (a comment); charset=utf-8", {"text": "Hello"}),
    (b"text/plain/x", {"text": "Hello"}),
    (b"plain text", {"text": "Hello"}),
    (b"text/html; charset=utf-8", {"html": "Hello", "text": None}),
    (b"application", {"text": "Hello"}),
    (b"application/octet-stream", {"text": None, "attachments": [None]}),
    (b"foo/bar", {"text": None, "attachments": [None]}),
    (b"image/png", {"text": None, "attachments": [None]}),
    (b"\xff\xfe/\x00", {"text": "Hello"}),
    (b"text/plain\x00", {"text": "Hello"}),
    (b"multipart", {"text": "Hello"}),
    (b"multipart/mixed", {"text": "Hello"}),
    (b"multipart/mixed; boundary=", {"text": "Hello"}),
    (b"multipart/mixed; boundary=nowhere", {"text": "Hello"}),
    (b"text/plain; " + b"a=b; " * 5_000, {"text": "Hello"}),
]

BOUNDARIES: list[tuple[str, bytes, bytes]] = [
    ("quoted", b'"a b"', b"a b"),
    ("of-one", b"x", b"x"),
    ("of-70", b"x" * 70, b"x" * 70),
    ("of-500", b"x" * 500, b"x" * 500),
    ("of-all-signs", b'"\'()+_,-./:=?"', b"'()+_,-./:=?"),
    ("unquoted-signs", b"=_a:b?c", b"=_a:b?c"),
    ("spaces-at-end", b'"a  "', b"a"),
    ("dashes", b"--", b"--"),
    ("regular-expression", b'".*[a]+\\\\"', b".*[a]+\\"),
    ("utf-8", '"ä"'.encode(), "ä".encode()),
    ("extended", b"b; boundary*=utf-8''b", b"b"),
    ("twice", b"b; boundary=c", b"b"),
    ("single-quotes", b"'b'", b"'b'"),
]
"""Name, as the field says it, and as the body has it."""

BODIES: list[tuple[str, bytes]] = [
    ("no-parts", b"--b--\r\n"),
    ("preamble-only", b"This is a message in MIME format.\r\n"),
    ("preamble-and-end", b"This is a message in MIME format.\r\n--b--\r\n"),
    ("epilogue", multipart(text(b"a")) + b"epilogue\r\n"),
    ("no-end", b"--b\r\n" + text(b"a") + b"\r\n--b\r\n" + text(b"b") + b"\r\n"),
    ("no-line-end-at-end", b"--b\r\n" + text(b"a") + b"\r\n--b--"),
    ("ends-in-delimiter", b"--b\r\n" + text(b"a") + b"\r\n--b"),
    ("ends-in-dash", b"--b\r\n" + text(b"a") + b"\r\n--b-"),
    ("end-first", b"--b--\r\n--b\r\n" + text(b"a") + b"\r\n--b--\r\n"),
    ("end-twice", multipart(text(b"a")) + multipart(text(b"b"))),
    ("wrong-case", b"--B\r\n" + text(b"a") + b"\r\n--B--\r\n"),
    ("longer-boundary", b"--bc\r\n" + text(b"a") + b"\r\n--bc--\r\n"),
    ("one-dash", b"-b\r\n" + text(b"a") + b"\r\n-b--\r\n"),
    ("spaces-after", b"--b  \t\r\n" + text(b"a") + b"\r\n--b-- \r\n"),
    ("space-before", b" --b\r\n" + text(b"a") + b"\r\n --b--\r\n"),
    ("line-feeds", multipart(text(b"a"), PDF).replace(b"\r\n", b"\n")),
    ("carriage-returns", multipart(text(b"a"), PDF).replace(b"\r\n", b"\r")),
    ("no-header", b"--b\r\n\r\na\r\n--b\r\nb\r\n--b--\r\n"),
    ("header-only", b"--b\r\nContent-Type: text/plain\r\n--b--\r\n"),
    ("header-cut", b"--b\r\nContent-Ty"),
    ("empty", b"--b\r\n--b\r\n--b--\r\n"),
    ("delimiter-in-text", multipart(text(b"a\r\n--b c\r\nb"), text(b"--c"))),
    ("1-000-parts", multipart(*[text(b"part %d" % n) for n in range(1_000)])),
    ("1-000-empty-parts", b"--b\r\n" * 1_000 + b"--b--\r\n"),
    ("1-000-ends", b"--b--\r\n" * 1_000),
    ("1-000-fields", multipart(part(*[b"X-%d: a" % n for n in range(2_000)], body=b"a"))),
    ("nul", multipart(text(b"a\x00b"), b"\x00" * 100)),
    ("long-line", multipart(text(b"x" * 90_000))),
    ("mail-without-header", multipart(part(b"Content-Type: message/rfc822", body=b"Hello"))),
    ("mail-empty", multipart(part(b"Content-Type: message/rfc822"))),
    ("mail-of-mails", multipart(FORWARDED, FORWARDED, container(b"mixed", FORWARDED))),
    ("same-boundary", multipart(container(b"mixed", text(b"a"), PDF), text(b"b"))),
    ("inner-unclosed", multipart(container(b"x", text(b"a"), boundary=b"c")[:-7], text(b"b"))),
]
"""Bodies of multipart/mixed; boundary=b."""


def mails() -> Iterator[Made]:
    """Yield a mail for each, and some of great depth."""
    for name, entity, expected in WHOLE:
        yield Made(f"structure-{name}", mail_of(entity, b"MIME-Version: 1.0"), expected)
    for number, (content_type, expected) in enumerate(TYPES):
        raw = mail(b"Content-Type: " + content_type, body=b"Hello")
        yield Made(f"content-type-{number:02}", raw, expected)
    for name, named, written in BOUNDARIES:
        body = multipart(text(b"Hello"), PDF, boundary=written)
        raw = mail(b"Content-Type: multipart/mixed; boundary=" + named, body=body)
        yield Made(f"boundary-{name}", raw, {"text": "Hello", "attachments": ["a.pdf"]})
    raw = mail(b"Content-Type: multipart/mixed; boundary=b (comment)", body=multipart(text(b"a")))
    yield Made("boundary-comment", raw)
    for name, body in BODIES:
        yield Made(f"body-{name}", mail(b"Content-Type: multipart/mixed; boundary=b", body=body))
    for encoding in (b"base64", b"quoted-printable"):
        fields = (
            b"Content-Type: multipart/mixed; boundary=b",
            b"Content-Transfer-Encoding: " + encoding,
        )
        body = multipart(text(b"Hello"))
        yield Made(f"multipart-named-{encoding.decode()}", mail(*fields, body=body))
        encoded = mail(*fields, body=base64(body) if encoding == b"base64" else body)
        yield Made(f"multipart-in-{encoding.decode()}", encoded)
    for depth in (1, 2, 3, 5, 10, 19, 20, 21, 50, 200):
        yield Made(f"nested-{depth}", mail_of(_nested(depth)))
        yield Made(f"forwarded-{depth}", mail_of(_forwarded(depth)))


def _nested(depth: int) -> bytes:
    entity = text(b"innermost")
    for level in range(depth):
        entity = container(b"mixed", text(b"level"), entity, boundary=b"b%d" % level)
    return entity


def _forwarded(depth: int) -> bytes:
    entity = text(b"innermost")
    for _ in range(depth):
        entity = part(b"Content-Type: message/rfc822", body=entity)
    return entity
