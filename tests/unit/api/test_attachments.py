"""How attachments are handed out: as files, of types that no browser runs."""

from urllib.parse import quote

import pytest

from conduit.mail.parse import Attachment
from conduit_api.attachments import content_type, disposition


def attachment(name: str | None = None, kind: str = "application/octet-stream") -> Attachment:
    return Attachment(name, kind, None, inline=False, content=b"")


@pytest.mark.parametrize(
    "kind",
    [
        "application/pdf",
        "image/png",
        "text/plain",
        "text/csv",
        "video/mp4",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ],
)
def test_harmless_types_stay(kind: str) -> None:
    assert content_type(attachment(kind=kind)) == kind


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "application/vnd.mozilla.xul+xml",
        "text/javascript",
        "application/javascript",
        "text/css",
        "multipart/related",
        "message/rfc822",
        "application/x-shockwave-flash",
        "audio/x\r\nset-cookie: a=b",
        "",
    ],
)
def test_all_others_are_any_file(kind: str) -> None:
    assert content_type(attachment(kind=kind)) == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"),
        (
            "Übersicht 1.pdf",
            "attachment; filename=\"_bersicht 1.pdf\"; filename*=UTF-8''%C3%9Cbersicht%201.pdf",
        ),
        (
            'a"b\\c%41\r\nX: y;.htm',
            "attachment; filename=\"a_b_c_41__X: y;.htm\"; filename*=UTF-8''"
            + quote('a"b\\c%41\r\nX: y;.htm', safe=""),
        ),
        (None, "attachment; filename=\"attachment-3\"; filename*=UTF-8''attachment-3"),
    ],
)
def test_it_is_a_file_under_its_name(name: str | None, expected: str) -> None:
    assert disposition(attachment(name), 2) == expected
