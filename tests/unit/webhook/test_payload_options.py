"""What is left of a payload by a webhook's options, and the new words of replies."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from conduit.mail.parse import parse
from conduit.mail.reply import MAX_TEXT
from conduit.model.payload_options import EVERYTHING, AttachmentMode, PayloadOptions
from conduit.webhook.attachments import LEFT_OUT, Links
from conduit.webhook.payload import build, fields
from conduit.webhook.shape import ShapeError, shaped
from tests.unit.webhook.test_payload import EVENT, payload

MAIL = b"""\
Subject: Re: Hello
In-Reply-To: <1@example.com>
X-Tag: one
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

New.

On Mon, Jan 6, 2025 at 10:00 AM Ann <ann@example.com> wrote:
> old
--b
Content-Type: text/html

<p>New.</p>
--b
Content-Type: application/pdf; name=a.pdf
Content-ID: <a@example.com>

%PDF
--b
Content-Type: a/b

12345678
--b--
"""
LINKS = Links("https://example.com/{}".format, datetime(2025, 1, 9, 10, tzinfo=UTC))


def chosen(options: PayloadOptions, links: Links | str = "", limit: int = 1000) -> dict[str, Any]:
    body = build(parse(MAIL), EVENT, attachment_limit=limit, options=options, links=links)
    made: dict[str, Any] = orjson.loads(body)
    return made


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        (PayloadOptions(), set()),
        (PayloadOptions(text=False), {"text", "stripped_text"}),
        (PayloadOptions(html=False), {"html"}),
        (PayloadOptions(headers=False), {"headers"}),
        (
            PayloadOptions(text=False, html=False, headers=False),
            {"text", "stripped_text", "html", "headers"},
        ),
    ],
)
def test_parts_can_be_left_out(options: PayloadOptions, left_out: set[str]) -> None:
    everything = chosen(EVERYTHING)
    assert chosen(options) == {n: v for n, v in everything.items() if n not in left_out}
    assert left_out < everything.keys()


def test_attachments_can_be_described_only() -> None:
    first, second = chosen(PayloadOptions(attachments=AttachmentMode.NONE))["attachments"]
    assert first == {
        "filename": "a.pdf",
        "content_type": "application/pdf",
        "size": 4,
        "content_id": "a@example.com",
        "inline": True,
        "reason": LEFT_OUT,
    }
    assert (second["size"], second["reason"]) == (8, LEFT_OUT)


def test_attachments_can_be_links() -> None:
    made = chosen(PayloadOptions(attachments=AttachmentMode.LINKS), LINKS, limit=0)
    first, second = made["attachments"]
    assert (first["url"], second["url"]) == ("https://example.com/0", "https://example.com/1")
    assert first["url_expires_at"] == "2025-01-09T10:00:00Z"
    assert not {"content", "reason"} & (first.keys() | second.keys())
    assert first["filename"] == "a.pdf"


def test_where_there_is_no_link_the_reason_is_told() -> None:
    made = chosen(PayloadOptions(attachments=AttachmentMode.LINKS), "it is not kept")
    assert [each["reason"] for each in made["attachments"]] == ["it is not kept"] * 2
    assert not any({"content", "url"} & each.keys() for each in made["attachments"])


def test_a_reply_has_its_new_words() -> None:
    assert chosen(EVERYTHING)["stripped_text"] == "New."


def test_no_other_mail_has_them() -> None:
    assert "stripped_text" not in payload(b"Subject: Hello\r\n\r\n> quoted\r\nNew.\r\n")
    assert "stripped_text" not in payload(b"Subject: Re: no text\r\n\r\n")


def test_a_reply_that_only_quotes_has_none() -> None:
    assert payload(b"Subject: Re: Hello\r\n\r\n> quoted\r\n")["stripped_text"] == ""


def test_a_text_that_is_too_long_is_not_looked_into() -> None:
    made = payload(b"Subject: Re: Hello\r\n\r\n" + b"x" * MAX_TEXT + b"\r\n")
    assert "stripped_text" not in made
    assert made["notes"] == [
        f"stripped_text was left out, for the text has more than {MAX_TEXT} characters"
    ]
    assert payload(b"Subject: Re: Hello\r\n\r\n" + b"x" * MAX_TEXT)["stripped_text"]


def test_a_template_gets_what_is_left() -> None:
    options = PayloadOptions(headers=False, html=False, attachments=AttachmentMode.LINKS)
    found = fields(parse(MAIL), EVENT, attachment_limit=9, options=options, links=LINKS)
    template = """{"new": {{toJson .StrippedText}}, "html": {{toJson .HTML}},
        "headers": {{len .Headers}}, "urls": [{{range $i, $a := .Attachments}}{{if $i}}, {{end}}
        "{{.URL}} {{$a.URLExpiresAt}} {{.Content}}"{{end}}]}"""
    assert orjson.loads(shaped(template, found)) == {
        "new": "New.",
        "html": "",
        "headers": 0,
        "urls": [f"https://example.com/{index} 2025-01-09T10:00:00Z " for index in (0, 1)],
    }


def test_what_a_template_makes_may_be_too_large() -> None:
    found = fields(parse(MAIL), EVENT, attachment_limit=9)
    assert shaped('"12345"', found, limit=7) == b'"12345"'
    with pytest.raises(ShapeError, match="output has 8 octets, and the body of a call is limited"):
        shaped('"123456"', found, limit=7)
