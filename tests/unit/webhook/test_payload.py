"""The JSON that endpoints get."""

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.events import MailAccepted
from conduit.mail.parse import parse
from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.envelope import Envelope
from conduit.webhook.payload import build

MAILS = Path(__file__).parents[2] / "data" / "mails"
MIB = 1 << 20

EVENT = MailAccepted(
    delivery_id="dlv_01jgxyz",
    message_id="msg_01jgxyz",
    webhook_id="wh_01jgxyz",
    envelope=Envelope(
        mail_from="bounces@example.com",
        recipients=("alerts@example.org", "ops@example.org"),
        helo="mail.example.com",
        remote_ip="192.0.2.1",
        tls="TLSv1.3",
    ),
    received_at=datetime(2025, 1, 6, 10, 0, 2, 250_000, tzinfo=UTC),
    size=1,
    raw=b"",
)


AUTHENTICATION = AuthResults(
    Spf(SpfStatus.SOFTFAIL, SpfScope.MAIL_FROM, "example.com", "not from there, probably"),
    (
        Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),
        Dkim(DkimStatus.PERMERROR, "", "", "", "it cannot be read"),
    ),
    Dmarc(DmarcStatus.PASS, "example.com", "reject"),
    Arc(ArcStatus.PASS, "relay.example.net", 2),
)


def payload(raw: bytes, event: MailAccepted = EVENT, limit: int = MIB) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(build(parse(raw), event, attachment_limit=limit))
    return fields


def payload_of(name: str, limit: int = MIB) -> dict[str, Any]:
    return payload((MAILS / f"{name}.eml").read_bytes(), limit=limit)


def with_files(*contents: bytes) -> bytes:
    parts = (b"--b\r\nContent-Type: a/b\r\n\r\n%b\r\n" % content for content in contents)
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(parts) + b"--b--\r\n"


def test_who_a_mail_is_from() -> None:
    told = payload(b"", replace(EVENT, authentication=AUTHENTICATION))["authentication"]
    assert told == {
        "spf": {
            "result": "softfail",
            "scope": "mailfrom",
            "domain": "example.com",
            "reason": "not from there, probably",
        },
        "dkim": [
            {
                "result": "pass",
                "domain": "example.com",
                "selector": "s1",
                "algorithm": "rsa-sha256",
            },
            {"result": "permerror", "reason": "it cannot be read"},
        ],
        "dmarc": {"result": "pass", "domain": "example.com", "policy": "reject"},
        "arc": {"result": "pass", "domain": "relay.example.net", "instances": 2},
    }


def test_nobody_signed() -> None:
    nothing = AuthResults(
        Spf(SpfStatus.NONE, SpfScope.HELO, ""), (), Dmarc(DmarcStatus.NONE, ""), Arc(ArcStatus.NONE)
    )
    assert payload(b"", replace(EVENT, authentication=nothing))["authentication"] == {
        "spf": {"result": "none", "scope": "helo"},
        "dkim": [],
        "dmarc": {"result": "none"},
        "arc": {"result": "none", "instances": 0},
    }


def test_what_was_not_looked_into_is_left_out() -> None:
    assert not {"authentication", "tag"} & payload(b"").keys()


def test_the_tag_of_the_recipient() -> None:
    tagged = replace(EVENT, envelope=replace(EVENT.envelope, tag="2026"))
    assert payload(b"", tagged)["tag"] == "2026"


def test_a_plain_mail() -> None:
    assert payload_of("plain") == {
        "message_id": "<1.20250106@example.com>",
        "from": "bounces@example.com",
        "to": ["alerts@example.org", "ops@example.org"],
        "id": "dlv_01jgxyz",
        "received_at": "2025-01-06T10:00:02.250000Z",
        "envelope": {
            "helo": "mail.example.com",
            "remote_ip": "192.0.2.1",
            "tls": "TLSv1.3",
            "authenticated_as": None,
        },
        "subject": "Hello",
        "date": "2025-01-06T10:00:00Z",
        "text": "It works.\n\n-- \nAnn\n",
        "headers": {
            "Received": [
                (
                    "from mail.example.com (mail.example.com [192.0.2.1]) by mx.example.org "
                    "with ESMTPS id 1; Mon, 6 Jan 2025 10:00:01 +0000"
                ),
                (
                    "from laptop (laptop [198.51.100.7]) by mail.example.com "
                    "with ESMTPSA id 2; Mon, 6 Jan 2025 10:00:00 +0000"
                ),
            ],
            "Cc": ['"Doe, Dan" <dan@example.org>'],
            "Reply-To": ["help@example.com (Help desk)"],
            "X-Tag": ["one", "two"],
        },
        "header_from": {"name": "Ann Author", "address": "ann@example.com"},
        "header_to": [
            {"name": "Bob", "address": "bob@example.org"},
            {"name": "", "address": "carol@example.org"},
        ],
        "cc": [{"name": "Doe, Dan", "address": "dan@example.org"}],
        "reply_to": [{"name": "Help desk", "address": "help@example.com"}],
    }


def test_what_a_mail_does_not_have_is_left_out() -> None:
    assert set(payload(b"")) == {"message_id", "from", "to", "id", "received_at", "envelope"}


def test_a_mail_without_message_id_gets_one_that_stays_the_same() -> None:
    first = payload(b"")["message_id"]
    again = payload(b"", EVENT.next_attempt(datetime(2025, 1, 7, tzinfo=UTC)))["message_id"]
    assert first == again == "<dlv_01jgxyz@conduit.invalid>"


def test_the_null_reverse_path_is_empty() -> None:
    event = replace(EVENT, envelope=replace(EVENT.envelope, mail_from="", tls=None))
    fields = payload(b"", event)
    assert (fields["from"], fields["envelope"]["tls"]) == ("", None)


def test_an_attachment_is_there_in_base64() -> None:
    [attachment] = payload_of("utf8-subject-attachment")["attachments"]
    content = b64decode(attachment.pop("content"), validate=True)
    assert content.startswith(b"%PDF-1.4")
    assert attachment == {
        "filename": "Übersicht.pdf",
        "content_type": "application/pdf",
        "size": len(content),
        "inline": False,
    }


def test_an_inline_image_has_its_content_id() -> None:
    logo = payload_of("nested")["attachments"][0]
    assert (logo["content_id"], logo["inline"]) == ("logo@example.com", True)
    assert "filename" not in logo


def test_an_empty_attachment_has_empty_content() -> None:
    passwd = payload_of("nested", limit=0)["attachments"][2]
    assert (passwd["size"], passwd["content"]) == (0, "")


def test_contents_beyond_the_limit_are_left_out_with_the_reason() -> None:
    small, large, fitting = payload(with_files(b"1234", b"x" * 50, b"5678"), limit=8)["attachments"]
    assert (b64decode(small["content"]), b64decode(fitting["content"])) == (b"1234", b"5678")
    assert large == {
        "content_type": "a/b",
        "size": 50,
        "inline": False,
        "reason": "the attachments of one call are limited to 8 octets",
    }


def test_large_attachments_survive() -> None:
    content = bytes(range(1, 10)) * MIB + b"\r\nend"
    [attachment] = payload(with_files(content), limit=16 * MIB)["attachments"]
    assert b64decode(attachment["content"]) == content


def test_notes_tell_what_was_guessed() -> None:
    assert payload_of("unclosed")["notes"] == ["a multipart body has no end"]


@pytest.mark.parametrize("path", sorted(MAILS.glob("*.eml")), ids=lambda path: path.stem)
def test_every_mail_becomes_a_payload(path: Path) -> None:
    fields = payload(path.read_bytes())
    assert fields["message_id"]
    assert None not in fields.values()
    assert not set(fields.get("headers", {})) & {"Message-ID", "Message-Id", "From", "To", "Date"}


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_the_octets_the_json_is_valid(header: bytes, body: bytes) -> None:
    fields = payload(b"Subject: " + header + b"\r\n\r\n" + body)
    assert fields["id"] == EVENT.delivery_id


def test_a_replay_names_the_first_delivery_and_keeps_the_message_id_made_of_it() -> None:
    raw = b"Subject: no id\r\n\r\n"
    first = payload(raw)
    again = payload(raw, replace(EVENT, delivery_id="dlv_2", replay_of=EVENT.delivery_id))
    assert "replay_of" not in first
    assert again["replay_of"] == EVENT.delivery_id
    assert (again["id"], again["message_id"]) == ("dlv_2", first["message_id"])
