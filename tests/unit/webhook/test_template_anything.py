"""Whatever the text and the data: an output within its bounds, or a TemplateError."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conduit.webhook.template import Limits, TemplateError, compile_template, template_data

SMALL = Limits(text=2_000, steps=2_000, characters=20_000, output=10_000)

NAMES = st.sampled_from(["a", "b", "é", "Subject", "x_y"])
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.text(st.characters(categories=["Cs", "L"]), max_size=3),  # lone surrogates, too
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FRAGMENTS = st.sampled_from(
    [
        *("{{", "}}", "{{- ", " -}}", "/*", "*/", "(", ")", "|", ":=", "=", ",", " ", "\n", "."),
        *("$", "$x", "$x := ", "$i, $x := ", ".a", ".b", ".é", ".a.b", "..", "-", "+", "i", "\\"),
        *("if ", "else", "else if ", "end", "range ", "with ", "define ", "template ", "block "),
        *("break", "continue", "nil", "true", '"t"', "`%v`", "'c'", '"', "`", "'", "0x", "1e9"),
        *("{{if .a}}", "{{range .}}", "{{range 9}}", "{{with $x := .b}}", "{{else}}", "{{end}}"),
        *('{{define "t"}}', '{{template "t" .}}', '{{block "u" .a}}', "{{$x := .}}", "{{.}}"),
        *("and ", "or ", "not ", "len ", "index ", "slice ", "eq ", "lt ", "ge ", "call ", "html "),
        *("js ", "urlquery ", "toJson ", "print ", "println ", 'printf "%*.*[1]d %q" ', "1", "-2"),
        *("1.5", "3i", "1+2i", "0b1", "0o7", "99999999999999999999", '"\\xff"', '"é"', "\x00"),
    ]
)
DIRECTIVES = st.from_regex(r"%[-+# 0]{0,3}(\[\d?\])?[0-9*]{0,4}(\.[0-9*]{0,4})?[a-zA-Z%é]?")


def output_or_error(text: str, data: object) -> str | TemplateError:
    try:
        return compile_template(text, SMALL).render(data, SMALL)
    except TemplateError as error:
        return error


def expect_sound(text: str, data: object) -> None:
    result = output_or_error(text, data)
    if isinstance(result, TemplateError):
        assert 1 <= result.line <= text.count("\n") + 1
        assert result.column >= 1
        assert str(result).encode().startswith(b"line ")
    else:
        assert len(result) <= SMALL.output
        result.encode()


@given(st.text(max_size=200), DATA)
def test_any_text(text: str, data: object) -> None:
    expect_sound(text, data)
    expect_sound(f"{{{{{text}}}}}", data)


@given(st.lists(FRAGMENTS | st.text(max_size=2), max_size=40).map("".join), DATA)
def test_any_sequence_of_what_templates_are_made_of(text: str, data: object) -> None:
    expect_sound(text, data)
    expect_sound(f"{{{{{text}}}}}", data)


@given(DIRECTIVES, st.lists(DATA, max_size=3))
def test_any_format(directive: str, values: list[object]) -> None:
    data = {"format": directive, "values": values}
    indexes = " ".join(f"(index .values {number})" for number in range(len(values)))
    expect_sound(f"{{{{printf .format {indexes}}}}}", data)


@given(st.dictionaries(NAMES | st.text(max_size=9), DATA))
def test_any_value_can_be_printed(data: dict[str, Any]) -> None:
    text = "{{.}} {{range .}}{{.}}{{end}} {{printf `%#v %x %q %T` . . . .}} {{html .}} {{js .}}"
    expect_sound(text, data)
    expect_sound("{{toJson .}}", data)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "subject": st.text(),
            "headers": st.dictionaries(st.text(max_size=9), st.lists(st.text(max_size=5))),
            "attachments": st.lists(st.dictionaries(NAMES, st.text(max_size=5))),
        },
    ),
    st.from_regex(r"\.[A-Za-z_]{1,12}(\.[A-Za-z]{1,5})?", fullmatch=True),
)
def test_any_field_of_a_payload(payload: dict[str, Any], field: str) -> None:
    expect_sound(f"{{{{{field}}}}}{{{{.Headers{field}}}}}", template_data(payload))
