"""How mails are written, octet by octet: nothing here mends what it is given."""

from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENVELOPE = (
    b"From: Ann Author <ann@example.com>",
    b"To: bob@example.org",
    b"Message-ID: <made@example.com>",
    b"Date: Mon, 6 Jan 2025 10:00:00 +0000",
)


@dataclass(frozen=True)
class Made:
    """A mail with what is to become of it: names of the payload's fields, None: absent.

    Of attachments, their file names are told. What is not told may be anything.
    """

    name: str
    raw: bytes = field(repr=False)
    expected: Mapping[str, Any] = field(default_factory=dict)


def lines(*texts: bytes) -> bytes:
    """Return lines with their ends."""
    return b"".join(text + b"\r\n" for text in texts)


def mail(*fields: bytes, body: bytes = b"") -> bytes:
    """Return a mail of usual fields, more fields and a body."""
    return lines(*ENVELOPE, *fields) + b"\r\n" + body


def part(*fields: bytes, body: bytes = b"") -> bytes:
    """Return a part of a multipart body."""
    return lines(*fields) + b"\r\n" + body


def multipart(*parts: bytes, boundary: bytes = b"b", end: bytes = b"--") -> bytes:
    """Return a body of several parts."""
    delimited = (b"--" + boundary + b"\r\n" + each + b"\r\n" for each in parts)
    return b"".join(delimited) + b"--" + boundary + end + b"\r\n"


def container(subtype: bytes, *parts: bytes, boundary: bytes = b"b", more: bytes = b"") -> bytes:
    """Return a multipart as a part of another one, or as the end of a mail."""
    content_type = b'Content-Type: multipart/%b; boundary="%b"%b' % (subtype, boundary, more)
    return part(content_type, body=multipart(*parts, boundary=boundary))


def mail_of(entity: bytes, *fields: bytes) -> bytes:
    """Return a mail whose content is an entity with its own fields."""
    return lines(*ENVELOPE, *fields) + entity


def base64(octets: bytes) -> bytes:
    """Return octets in lines of base64."""
    return encodebytes(octets).replace(b"\n", b"\r\n")


def quoted(octets: bytes) -> bytes:
    """Return octets in quoted-printable, line ends encoded where they are not CRLF."""
    return b2a_qp(octets, istext=False).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def file(name: bytes, content: bytes, content_type: bytes = b"application/octet-stream") -> bytes:
    """Return an attached file."""
    return part(
        b"Content-Type: " + content_type,
        b'Content-Disposition: attachment; filename="%b"' % name,
        b"Content-Transfer-Encoding: base64",
        body=base64(content),
    )


def text(content: bytes, content_type: bytes = b"text/plain") -> bytes:
    """Return a part to be read."""
    return part(b"Content-Type: " + content_type, body=content)
