"""No template takes more than its share of time, memory, stack and output."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from conduit.webhook.template import DEFAULT, Limits, TemplateError, compile_template

SECONDS = 5  # some tenths of one on a machine that has nothing else to do
MIB = 1 << 20

DATA = {
    "text": "a'\n" * 300_000,
    "wide": "é\u00ad\U000e0001本" * 250_000,
    "percents": "%" * 1_000_000,
    "brackets": "%[" * 500_000 + "]",
    "map": {str(number): number for number in range(10_000)},
    "list": list(range(10_000)),
    "none": None,
}

STEPS = f"the template takes more than {DEFAULT.steps} steps"
CHARACTERS = f"the template makes more than {DEFAULT.characters} characters of text"
OUTPUT = f"the template's output has more than {DEFAULT.output} characters"
WIDTH = f"widths and precisions beyond {DEFAULT.width} are not allowed"
NESTING = f"blocks and parentheses are nested more than {DEFAULT.nesting} deep"
DEPTH = f"the template is nested more than {DEFAULT.depth} deep"
RECURSION = '{{define "a"}}{{range 9}}{{template "a" .}}{{end}}{{end}}{{template "a" .}}'
FORK = '{{define "a"}}{{if lt (len .) 20}}{{template "a" (print . 1)}}{{template "a" (print . 1)}}{{end}}{{end}}{{template "a" ``}}'  # noqa: E501 (one template)


def forever(body: str) -> str:
    return f"{{{{range 9999999}}}}{body}{{{{end}}}}"


HOSTILE = {
    "width": ('{{printf "%1000000000d" 1}}', WIDTH),
    "precision": ('{{printf "%.1000000000f" 1.0}}', WIDTH),
    "width of an argument": ('{{printf "%*d" 1001 1}}', WIDTH),
    "many widths": (forever('{{$x := printf "%999d" 1}}'), STEPS),
    "many digits": (forever('{{$x := printf "%.999f" 1e300}}'), STEPS),
    "loops": (forever(forever("")), STEPS),
    "text": (forever("x" * 60_000), OUTPUT),
    "small texts": (forever("a{{/**/}}" * 7_000), STEPS),
    "doubling": ("{{$x := `0123456789`}}" + forever("{{$x = print $x $x}}"), CHARACTERS),
    "recursion": (RECURSION, DEPTH),
    "fork": (FORK, STEPS),
    "parentheses": ("{{" + "(" * 30_000 + "1" + ")" * 30_000 + "}}", NESTING),
    "blocks": ("{{if 1}}" * 8_000, NESTING),
    "loops in loops": ("{{range 2}}" * 41 + "{{end}}" * 41, NESTING),
    "definitions": (
        "".join(f'{{{{define "{number}"}}}}{{{{end}}}}' for number in range(2_000)),
        f"more than {DEFAULT.templates} templates are defined",
    ),
    "a long text": ("x" * 70_000, f"the template has more than {DEFAULT.text} characters"),
    "quotes": (forever('{{$x := printf "%q" $.text}}'), STEPS),
    "ASCII quotes": (forever('{{$x := printf "%+q" $.wide}}'), STEPS),
    "html": (forever("{{$x := html $.text}}"), CHARACTERS),
    "js": (forever("{{$x := js $.wide}}"), STEPS),
    "urlquery": (forever("{{$x := urlquery $.wide}}"), CHARACTERS),
    "toJson": (forever("{{$x := toJson $}}"), STEPS),
    "hexadecimal": (forever('{{$x := printf "% x" $.text}}'), CHARACTERS),
    "format": (forever("{{$x := printf $.percents 1}}"), STEPS),
    "indexes of a format": (forever("{{$x := printf $.brackets 1}}"), STEPS),
    "comparison": (
        "{{$x := slice .text 1}}{{$y := slice .text 1}}" + forever("{{$z := eq $x $y}}"),
        STEPS,
    ),
    "order": (forever("{{$x := lt $.wide $.wide}}"), STEPS),
    "len": (forever("{{$x := len $.wide}}"), STEPS),
    "index": (forever("{{$x := index $.wide 5}}"), STEPS),
    "slice of a string": (forever("{{$x := slice $.wide 5 6}}"), CHARACTERS),
    "slice of a list": (forever("{{$x := slice $.list 1}}"), STEPS),
    "sorting": (forever("{{range $.map}}{{break}}{{end}}"), STEPS),
    "printing": (forever("{{$x := print $.map}}"), STEPS),
    "variables": ("{{$a := 1}}" * 5_000 + forever("{{$a}}"), STEPS),
    "fields": (forever(f"{{{{$.none_such{'.x' * 30_000}}}}}"), STEPS),
    "arguments": (forever(f"{{{{$x := print {'0 ' * 30_000}}}}}"), STEPS),
    "conditions": (forever(f"{{{{$x := or {'0 ' * 30_000}}}}}"), STEPS),
    "commands": (forever(f"{{{{$x := 1{' | not' * 9_000}}}}}"), STEPS),
}


@contextmanager
def in_time() -> Iterator[None]:
    start = time.thread_time()
    yield
    assert time.thread_time() - start < SECONDS


def refusal(text: str, limits: Limits = DEFAULT, data: object = DATA) -> str:
    with pytest.raises(TemplateError) as caught:
        compile_template(text, limits).render(data, limits)
    return caught.value.message


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_costs_too_much_is_refused(text: str, message: str) -> None:
    with in_time():
        assert refusal(text) == message


@pytest.mark.parametrize("name", ["width", "many widths", "doubling", "ASCII quotes", "text"])
def test_memory_stays_bounded(name: str) -> None:
    text, message = HOSTILE[name]
    tracemalloc.start()
    try:
        assert refusal(text) == message
        assert tracemalloc.get_traced_memory()[1] < 80 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "{{if 0}}" + "{{else if 0}}" * 4_500 + "{{end}}",
        "{{.x" * 16_000,
        '{{"' * 16_000,
        "{{/*" * 16_000,
        "{{`" * 16_000,
        "{{- " * 16_000,
        " -}}" * 16_000,
        "{{print " + "1" * 60_000 + "}}",
        "{{print 0x" + "f" * 60_000 + "}}",
        "{{print 1" + "_1" * 30_000 + "}}",
        "{{print 1" + "_1" * 30_000 + "_}}",
        "{{print " + "1" * 60_000 + "e}}",
        "{{print 1." + "1" * 60_000 + "e}}",
        "{{print 0x1." + "1" * 60_000 + "}}",
        "{{print 0" + "7" * 60_000 + "8}}",
        "{{print " + "1" * 30_000 + "+" + "1" * 30_000 + "i}}",
        "{{print " + "1" * 60_000 + "i}}",
        "{{print 1e" + "1" * 60_000 + "}}",
        '{{"' + "\\x41" * 15_000 + '"}}',
        "\n" * 60_000 + "{{.x.",
    ],
    ids=lambda text: text[:12],
)
def test_long_texts_take_no_time(text: str) -> None:
    with in_time(), suppress(TemplateError):
        compile_template(text).render(DATA)


def test_what_is_as_deep_as_allowed_works() -> None:
    depth = DEFAULT.nesting - 1
    text = "{{with 1}}" * depth + "{{(.)}}" + "{{end}}" * depth
    assert compile_template(text).render({}) == "1"
    parentheses = "{{" + "(print " * DEFAULT.nesting + "1" + ")" * DEFAULT.nesting + "}}"
    assert compile_template(parentheses).render({}) == "1"


def test_the_stack_of_the_caller_is_no_matter() -> None:
    text = "{{" + "(print " * 40 + "1" + ")" * 40 + "}}"

    def deeper(levels: int) -> str:
        if levels:
            return deeper(levels - 1)
        try:
            return compile_template(text).render({})
        except TemplateError as error:
            return error.message

    reached = set()
    try:
        for levels in range(0, 2_000, 5):
            reached.add(deeper(levels))
    except RecursionError:  # of `deeper` itself
        pass
    assert reached == {"1", "the template is nested too deeply"}


@pytest.mark.parametrize(
    ("text", "limits", "message"),
    [
        ("12345", Limits(output=4), "the template's output has more than 4 characters"),
        ("{{print 12345}}", Limits(characters=4), "more than 4 characters of text"),
        ("{{1}}{{1}}", Limits(steps=3), "the template takes more than 3 steps"),
        ("\n{{printf `%3d` 1}}", Limits(width=2), "widths and precisions beyond 2"),
        ("{{if 1}}{{if 1}}{{end}}{{end}}", Limits(nesting=1), "more than 1 deep"),
        ("{{if 1}}{{if 1}}{{end}}{{end}}", Limits(depth=1), "more than 1 deep"),
        ("12345", Limits(text=4), "the template has more than 4 characters"),
    ],
)
def test_limits_are_the_caller_s_choice(text: str, limits: Limits, message: str) -> None:
    assert message in refusal(text, limits)


def test_a_large_mail_is_within_the_limits() -> None:
    data = {"content": "QUJD" * (13 * MIB // 4), "text": "Line of text\n" * 100_000}
    output = compile_template('{"mail": {{toJson .}}}').render(data)
    assert len(output) > 14 * MIB
