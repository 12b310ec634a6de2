"""Every mail that the tests have becomes the body of a webhook call: tests/support/corpus.py."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from json import loads
from typing import Any

import pytest

from conduit.events import MailAccepted
from conduit.mail.content import MAX_PARTS
from conduit.mail.description import MAX_NAME
from conduit.mail.fields import read_section
from conduit.mail.notes import MAX_NOTES
from conduit.mail.parse import ParsedMail, parse
from conduit.model.envelope import Envelope
from conduit.webhook import payload
from conduit.webhook.shape import shaped
from tests.support.corpus import corpus, filed_mails
from tests.support.made_mails import Made

CORPUS = list(corpus())
LIMIT = 25 << 20
EVENT = MailAccepted(
    delivery_id="dlv_01jgxyz",
    message_id="msg_01jgxyz",
    webhook_id="wh_01jgxyz",
    envelope=Envelope("ann@example.com", ("bob@example.org",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2025, 1, 6, 10, tzinfo=UTC),
    size=1,
    raw=b"",
)

ALWAYS = {"message_id", "from", "to", "id", "received_at", "envelope"}
OF_THE_MAIL = {
    *("subject", "date", "text", "html", "headers", "header_from", "header_to"),
    *("stripped_text", "cc", "reply_to", "attachments", "notes"),
}
ELSEWHERE = {"message-id", "from", "to", "subject", "date", "content-type", "mime-version"}
TEMPLATE = (
    '{"subject": {{toJson .Subject}}, "text": {{toJson .Text}}, "headers": {{toJson .Headers}},'
    ' "names": [{{range $i, $a := .Attachments}}{{if $i}},{{end}}{{toJson $a.filename}}{{end}}]}'
)

Fields = dict[str, Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STRUCTURE = re.compile(rb"$|--|[!-9;-~]+:|[ \t]|=+$")
_MEDIA_TYPE = re.compile(r"[^\s/;,]+/[^\s/;,]+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def expect_fields(told: Fields) -> None:
    assert told.keys() >= ALWAYS
    assert told.keys() <= ALWAYS | OF_THE_MAIL
    for name in ("subject", "message_id"):
        assert not _CONTROL.search(told.get(name, ""))
    for name in ("text", "html"):
        assert told.get(name) != ""
        assert not {"\r", "\0"} & set(told.get(name, ""))
    assert set(told.get("stripped_text", "").split()) <= set(told.get("text", "").split())
    assert _MOMENT.fullmatch(told.get("date", "2025-01-06T10:00:00Z"))


def expect_header_in_lines(told: Fields) -> None:
    for name, values in told.get("headers", {}).items():
        assert name.isascii()
        assert name.lower() not in ELSEWHERE
        assert values
        assert not any(_CONTROL.search(value) for value in [name, *values])
    mailboxes = [told["header_from"]] if "header_from" in told else []
    for name in ("header_to", "cc", "reply_to"):
        mailboxes += told.get(name, [])
    for mailbox in mailboxes:
        assert mailbox.keys() == {"name", "address"}
        assert mailbox["name"] or mailbox["address"]
        assert not _CONTROL.search(mailbox["name"] + mailbox["address"])


def expect_harmless_files(told: Fields) -> None:
    attachments = told.get("attachments", [])
    assert len(attachments) <= MAX_PARTS
    for attachment in attachments:
        assert len(b64decode(attachment["content"], validate=True)) == attachment["size"]
        assert _MEDIA_TYPE.fullmatch(attachment["content_type"])
        assert attachment["inline"] in {True, False}
        assert not _CONTROL.search(attachment.get("content_id", "-"))
        name = attachment.get("filename", "-")
        assert 0 < len(name) <= MAX_NAME
        assert name not in {".", ".."}
        assert not re.search(r"[/\\]", name)
        assert not _CONTROL.search(name)


def expect_nothing_lost(told: Fields, raw: bytes) -> None:
    """What is neither text nor file nor noted was nothing but structure."""
    notes = told.get("notes", [])
    assert len(notes) <= MAX_NOTES
    assert all(0 < len(note) <= 200 and note.isprintable() for note in notes)
    if {"text", "html", "attachments", "notes"} & told.keys():
        return
    body = raw[read_section(raw, 0, len(raw)).body :]
    assert [line for line in body.splitlines() if not _STRUCTURE.match(line)] == []


def expect_nothing_twice(read: ParsedMail, raw: bytes) -> None:
    """Work and memory are bounded by the size of the mail."""
    size = sum(attachment.size for attachment in read.attachments)
    assert size + len(read.text or "") + len(read.html or "") <= len(raw) + MAX_PARTS


def expect_same_in_template(told: Fields, fields: Fields) -> None:
    made = loads(shaped(TEMPLATE, fields))
    assert made["subject"] == told.get("subject", "")
    assert made["text"] == told.get("text", "")
    assert made["headers"] == told.get("headers", {})
    assert made["names"] == [file.get("filename", "") for file in told.get("attachments", [])]


def test_the_corpus_is_whole() -> None:
    names = [mail.name for mail in CORPUS]
    assert len(set(names)) == len(names) > 1_000
    files = {mail.name for mail in filed_mails()}
    assert len(files) > 200
    told = [mail.name for mail in CORPUS if mail.expected]
    assert len(told) > 500
    assert len([name for name in told if name in files]) > 80


@pytest.mark.parametrize("mail", CORPUS, ids=lambda mail: str(mail.name))
def test_a_mail_becomes_a_sound_body(mail: Made) -> None:
    read = parse(mail.raw)
    fields = payload.fields(read, EVENT, attachment_limit=LIMIT)
    told = loads(payload.build(read, EVENT, attachment_limit=LIMIT).decode("utf-8", "strict"))
    expect_fields(told)
    expect_header_in_lines(told)
    expect_harmless_files(told)
    expect_nothing_lost(told, mail.raw)
    expect_nothing_twice(read, mail.raw)
    expect_same_in_template(told, fields)
    if "attachments" in told:
        told["attachments"] = [file.get("filename") for file in told["attachments"]]
    assert {name: told.get(name) for name in mail.expected} == mail.expected
