"""Templates give what Go makes of them: tests/support/go_templates tells how that was recorded."""

import re
import shutil

import pytest

from conduit.webhook.template import TemplateError, compile_template
from tests.support.go_templates import DATA, Case, answers, cases, files
from tests.support.go_templates.made import made_cases

DIFFERENCES = DATA / "differences.json"
RECORDED = [(path, case) for path in files() if path != DIFFERENCES for case in cases(path)]

SEED, MADE = 20_250_106, 3_000
SHOWN = 200  # characters of a message; ours shorten the values that they show
TOO_DEEP = "the template is nested more than 80 deep"

with_go = pytest.mark.skipif(
    shutil.which("go") is None,
    reason="no go on PATH: `make test-go` installs one; what is recorded is held without",
)

_ANY_TYPE = re.compile(r"in type interface \{\}$")


def outcome(case: Case) -> Case:
    stage = "parse"
    try:
        template = compile_template(case["template"])
        stage = "execute"
        return {"output": template.render(case["data"])}
    except TemplateError as error:
        told = {"stage": stage, "line": error.line, "message": error.message}
        return {"error": told if stage == "parse" else {**told, "column": error.column}}


def result_in(case: Case) -> Case:
    return {key: case[key] for key in ("output", "error") if key in case}


def expected(case: Case, ours: Case) -> Case:
    """Return Go's result; where it names the type `interface {}`, ours names what is in it.

    Go counts columns in octets, we in characters, as editors do.
    """
    if "output" in case:
        return {"output": case["output"]}
    message = case["error"]["message"]
    told = ours.get("error", {}).get("message", "")
    if _ANY_TYPE.search(message) and told.startswith(_ANY_TYPE.sub("in type ", message)):
        message = told
    error = {**case["error"], "message": message}
    if "column" in error:
        line = case["template"].split("\n")[error["line"] - 1]
        error["column"] = len(line.encode()[: error["column"] - 1].decode(errors="ignore")) + 1
    return {"error": error}


def differ(case: Case) -> bool:
    """Whether Go's result of a made template is another one, and not on purpose."""
    ours = outcome(case)
    theirs = expected(case, ours)
    told = ours.get("error", {}).get("message", "")
    if told == TOO_DEEP:
        return "maximum template depth" not in theirs.get("error", {}).get("message", "")
    if len(told) > SHOWN and "error" in theirs:
        for result in (ours, theirs):
            result["error"] = {**result["error"], "message": result["error"]["message"][:SHOWN]}
    return ours != theirs


def test_there_are_recorded_cases() -> None:
    assert len(RECORDED) > 3000


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{path.stem}: {case['name']}") for path, case in RECORDED]
)
def test_the_result_is_that_of_go(case: Case) -> None:
    ours = outcome(case)
    assert ours == expected(case, ours)


@pytest.mark.parametrize("case", cases(DIFFERENCES), ids=lambda case: str(case["name"]))
def test_what_differs_differs_as_meant(case: Case) -> None:
    ours = outcome(case)
    assert ours != result_in(case)
    told = ours if "output" in ours else {"message": ours["error"]["message"]}
    assert told == case["ours"]


@pytest.mark.go
@with_go
def test_made_templates_give_what_go_gives_now() -> None:
    made = made_cases(SEED, MADE)
    results = answers(made)
    both = [{**case, **result} for case, result in zip(made, results, strict=True)]
    assert [case["template"] for case in both if differ(case)] == []


@pytest.mark.go
@with_go
def test_what_is_recorded_is_what_go_gives_now() -> None:
    recorded = [case for path in files() for case in cases(path)]
    results = answers([{key: case[key] for key in ("template", "data")} for case in recorded])
    changed = [
        (case["template"], result_in(case), result)
        for case, result in zip(recorded, results, strict=True)
        if result_in(case) != result
    ]
    assert changed == []
