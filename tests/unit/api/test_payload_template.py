"""Templates when they are saved: tried with a sample that has everything a mail can have."""

import pytest

from conduit_api.errors import Unprocessable
from conduit_api.payload_template import check_payload_template


@pytest.mark.parametrize(
    "template",
    [
        "{{toJson .}}",
        '{"subject": "{{.Subject}}", "from": "{{.From}}"}',
        '{"first": "{{index .To 0}}", "x": {{toJson (index .Headers "X-Priority")}}}',
        '{"cc": "{{(index .Cc 0).Address}}", "reply": "{{(index .ReplyTo 0).Address}}"}',
        "[{{range $i, $a := .Attachments}}{{if $i}},{{end}}{{toJson $a.Filename}}{{end}}]",
        '{"html": {{toJson .HTML}}, "date": "{{.Date}}", "id": {{toJson .MessageID}}}',
    ],
)
async def test_templates_that_suit_a_mail_are_taken(template: str) -> None:
    await check_payload_template(template)


@pytest.mark.parametrize(
    "template", ["{{.Subject}}", "{{", "{{index .To 7}}", '{"t": "{{.Text}}"}']
)
async def test_others_are_refused(template: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        await check_payload_template(template)
    assert refusal.value.body.code == "invalid_payload_template"
    assert refusal.value.body.error.startswith("payload_template: ")
