"""What templates see of a mail."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

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
from conduit.webhook import payload
from conduit.webhook.template import compile_template, template_data

MAILS = Path(__file__).parents[2] / "data" / "mails"

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
    received_at=datetime(2025, 1, 6, 10, 0, 2, tzinfo=UTC),
    size=1,
    raw=b"",
)


def data_of(raw: bytes, event: MailAccepted = EVENT) -> Mapping[str, object]:
    return template_data(payload.fields(parse(raw), event, attachment_limit=1 << 20))


CHECKED = replace(
    EVENT,
    envelope=replace(EVENT.envelope, tag="2026"),
    authentication=AuthResults(
        Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com"),
        (Dkim(DkimStatus.FAIL, "example.com", "s1", "rsa-sha256", "tampered with"),),
        Dmarc(DmarcStatus.PASS, "example.com", "reject"),
        Arc(ArcStatus.NONE),
    ),
)
SURE = data_of(b"", CHECKED)
PLAIN = data_of((MAILS / "plain.eml").read_bytes())
FILES = data_of((MAILS / "nested.eml").read_bytes())
NOTHING = data_of(b"", replace(EVENT, envelope=replace(EVENT.envelope, tls=None)))


def rendered(text: str, data: Mapping[str, object]) -> str:
    return compile_template(text).render(data)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("From", "from"),
        ("To", "to"),
        ("Subject", "subject"),
        ("Text", "text"),
        ("HTML", "html"),
        ("Date", "date"),
        ("MessageID", "message_id"),
        ("Headers", "headers"),
        ("Attachments", "attachments"),
        ("ID", "id"),
        ("ReceivedAt", "received_at"),
        ("Envelope", "envelope"),
        ("Envelope.HELO", "envelope.helo"),
        ("Envelope.RemoteIP", "envelope.remote_ip"),
        ("Envelope.TLS", "envelope.tls"),
        ("Envelope.AuthenticatedAs", "envelope.authenticated_as"),
        ("HeaderFrom.Name", "header_from.name"),
        ("HeaderTo", "header_to"),
        ("ReplyTo", "reply_to"),
        ("CC", "cc"),
        ("Cc", "cc"),
        ("Notes", "notes"),
        ("Tag", "tag"),
        ("Authentication.SPF.Result", "authentication.spf.result"),
        ("Authentication.SPF.Scope", "authentication.spf.scope"),
        ("Authentication.DKIM", "authentication.dkim"),
        ("Authentication.DMARC.Policy", "authentication.dmarc.policy"),
        ("Authentication.ARC.Instances", "authentication.arc.instances"),
    ],
)
@pytest.mark.parametrize(
    "data", [PLAIN, FILES, NOTHING, SURE], ids=["plain", "files", "nothing", "sure"]
)
def test_go_names_and_json_keys_are_the_same(
    name: str, key: str, data: Mapping[str, object]
) -> None:
    assert rendered(f"{{{{.{name}}}}}", data) == rendered(f"{{{{.{key}}}}}", data)


def test_fields_of_a_mail() -> None:
    text = "{{.From}}|{{index .To 1}}|{{.Subject}}|{{.Date}}|{{.ReceivedAt}}|{{.HeaderFrom.Name}}"
    assert rendered(text, PLAIN) == (
        "bounces@example.com|ops@example.org|Hello|2025-01-06T10:00:00Z|"
        "2025-01-06T10:00:02Z|Ann Author"
    )


def test_names_at_every_level() -> None:
    text = "{{range .Attachments}}{{.ContentType}}={{.content_type}},{{.Size}};{{end}}"
    logo, *_ = rendered(text, FILES).split(";")
    assert logo == "image/gif=image/gif,14"
    assert rendered("{{range .ReplyTo}}{{.Name}} {{.Address}}{{end}}", PLAIN) == (
        "Help desk help@example.com"
    )


@pytest.mark.parametrize("name", ["X-Tag", "x-tag", "X-TAG"])
def test_headers_are_found_whatever_their_capitals(name: str) -> None:
    assert rendered(f'{{{{index .Headers "{name}" 1}}}}', PLAIN) == "two"


def test_a_header_by_field() -> None:
    assert rendered("{{.Headers.cc}}{{index .headers.Cc 0 | len}}", PLAIN).startswith("[")


def test_a_header_that_is_not_there() -> None:
    text = '{{with index .Headers "X-None"}}some{{else}}none{{end}}{{.Headers.None}}'
    assert rendered(text, PLAIN) == rendered(text, NOTHING) == "none<no value>"


@pytest.mark.parametrize("name", ["Subject", "Date", "Text", "HTML", "subject", "text"])
def test_what_a_mail_does_not_have_is_empty(name: str) -> None:
    assert rendered(f"<{{{{.{name}}}}}>", NOTHING) == "<>"
    assert rendered(f"{{{{toJson .{name}}}}}", NOTHING) == '""'


def test_lists_that_a_mail_does_not_have_are_empty() -> None:
    text = "{{len .Attachments}}{{len .CC}}{{len .Headers}}{{range .HeaderTo}}{{else}}-{{end}}"
    assert rendered(text, NOTHING) == "000-"
    assert rendered("{{.HeaderFrom.Name}}{{.header_from.address}}", NOTHING) == ""


def test_who_a_mail_is_from() -> None:
    text = (
        "{{.Tag}} {{.Authentication.SPF.Result}} {{.Authentication.DMARC.Domain}} "
        "{{range .Authentication.DKIM}}{{.Result}} {{.Selector}} {{.Reason}}{{end}}"
    )
    assert rendered(text, SURE) == "2026 pass example.com fail s1 tampered with"
    assert rendered("<{{.Authentication.ARC.Domain}}>", SURE) == "<>"
    assert rendered('{{if eq .Authentication.DMARC.Result "pass"}}sure{{end}}', SURE) == "sure"


def test_what_was_not_looked_into_is_empty() -> None:
    text = "<{{.Tag}}{{.Authentication.DMARC.Result}}>{{range .Authentication.DKIM}}x{{end}}"
    assert rendered(text, NOTHING) == "<>"
    assert rendered('{{if eq .authentication.spf.result "pass"}}sure{{end}}', NOTHING) == ""


def test_a_part_without_a_name() -> None:
    text = "{{range .Attachments}}[{{.Filename}}]{{end}}"
    assert rendered(text, FILES).startswith("[]")


def test_an_unknown_name_has_no_value() -> None:
    assert rendered("{{.Subjet}} {{.nope}}", PLAIN) == "<no value> <no value>"
    assert rendered("{{.Envelope.Nope}}", PLAIN) == "<no value>"


def test_a_long_name_has_no_value() -> None:
    assert rendered("{{.%s}}" % ("X" * 100), PLAIN) == "<no value>"


def test_all_maps_are_maps_of_go() -> None:
    text = '{{printf "%T %T %T" . .Envelope .Headers}}'
    assert rendered(text, PLAIN) == " ".join(["map[string]interface {}"] * 3)


def test_null_is_null() -> None:
    assert rendered("{{toJson .Envelope.TLS}} {{if .Envelope.TLS}}tls{{end}}", NOTHING) == "null "


@pytest.mark.parametrize("path", sorted(MAILS.glob("*.eml")), ids=lambda path: path.stem)
def test_the_whole_of_it_is_the_payload(path: Path) -> None:
    mail = parse(path.read_bytes())
    sent: Any = orjson.loads(payload.build(mail, CHECKED, attachment_limit=1 << 20))
    data = template_data(payload.fields(mail, CHECKED, attachment_limit=1 << 20))
    assert orjson.loads(rendered("{{toJson .}}", data)) == sent
    assert data == sent
