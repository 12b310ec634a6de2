"""What users are told about their templates."""

import pytest

from conduit.webhook.template import TemplateError, compile_template


def error_of(text: str, data: object = None) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        compile_template(text).render(data)
    return caught.value


def test_a_text_that_is_no_template_names_the_line() -> None:
    error = error_of('{\n  "subject": {{.Subject}},\n  "from": {{frmo}}\n}')
    assert str(error) == 'line 3: function "frmo" not defined'
    assert (error.line, error.column, error.message) == (3, 13, 'function "frmo" not defined')


def test_an_action_without_end_tells_where_it_began() -> None:
    assert str(error_of("a\n{{.x\n\n")) == "line 4: unclosed action started at payload:2"


def test_what_fails_when_it_runs_names_the_line_and_the_source() -> None:
    error = error_of("{{range .}}\n  {{len .}} {{index . 5}}\n{{end}}", ["abc"])
    assert str(error) == (
        'line 2: executing "payload" at <index . 5>: error calling index: index out of range: 5'
    )
    assert error.column == 15


def test_what_fails_in_a_definition_names_it() -> None:
    error = error_of('{{define "who"}}\n{{.name.first}}{{end}}{{template "who" .}}', {"name": "A"})
    assert (error.line, error.message) == (
        2,
        'executing "who" at <.name.first>: can\'t evaluate field first in type string',
    )


def test_a_long_action_is_quoted_in_part() -> None:
    error = error_of("{{index 1 " + "1 " * 500 + "}}")
    assert "index 1 1 1" in error.message
    assert "...>: error calling index" in error.message
    assert len(error.message) < 250


def test_a_long_value_is_shown_in_part() -> None:
    error = error_of("{{range .}}{{end}}", "x" * 10_000)
    assert error.message.endswith("x" * 200)
    assert len(error.message) < 300


def test_messages_are_valid_unicode() -> None:
    error = error_of('{{range "\\xff"}}{{end}}')
    assert error.message.encode().decode().endswith("can't iterate over \ufffd")


def test_a_template_that_is_not_unicode_is_refused() -> None:
    assert str(error_of("\ud800")) == "line 1: the template is not valid Unicode"


def test_addresses_are_not_printed() -> None:
    assert "%p prints addresses" in error_of('{{printf "%p" .}}', [1]).message


def test_what_go_has_no_type_for_is_refused() -> None:
    assert error_of("{{.}}", object()).message.endswith("templates cannot use a object")


def test_numbers_that_json_cannot_hold_are_refused() -> None:
    message = error_of("{{toJson .}}", float("inf")).message
    assert message.endswith("error calling toJson: json: unsupported value: +Inf")
