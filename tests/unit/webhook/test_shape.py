"""Bodies in the shape of a template."""

import pytest

from conduit.webhook.shape import ShapeError, shaped

PAYLOAD = {"from": "ann@example.com", "subject": 'Say "hello"', "text": "one\ntwo\n"}


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("{{toJson .Subject}}", b'"Say \\"hello\\""'),
        ('{"by": "{{.From}}", "text": {{toJson .text}}}', None),
        ("[]", b"[]"),
        ('"{{"\\xff"}}"', '"\ufffd"'.encode()),
        ('{"html": {{toJson .HTML}}}', b'{"html": ""}'),
    ],
)
def test_a_template_makes_json(template: str, body: bytes | None) -> None:
    expected = body or b'{"by": "ann@example.com", "text": "one\\ntwo\\n"}'
    assert shaped(template, PAYLOAD) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{", "line 1: "),
        ("{\n{{.Subject.Name}}}", "line 2: "),
        ('{"subject": "{{.Subject}}"}', "not JSON"),
        ('{"text": "{{.Text}}"}', "not JSON"),
        ("", "not JSON"),
    ],
)
def test_what_makes_none_is_told(template: str, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        shaped(template, PAYLOAD)
