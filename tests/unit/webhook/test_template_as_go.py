"""Templates give what Go makes of them: tests/support/go_templates tells how that was recorded."""

import re

import pytest

from conduit.webhook.template import TemplateError, compile_template
from tests.support.go_templates import DATA, Case, cases, files

DIFFERENCES = DATA / "differences.json"
RECORDED = [(path, case) for path in files() if path != DIFFERENCES for case in cases(path)]

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


def expected(case: Case, ours: Case) -> Case:
    """Return Go's result; where it names the type `interface {}`, ours names what is in it."""
    if "output" in case:
        return {"output": case["output"]}
    message = case["error"]["message"]
    told = ours.get("error", {}).get("message", "")
    if _ANY_TYPE.search(message) and told.startswith(_ANY_TYPE.sub("in type ", message)):
        message = told
    return {"error": {**case["error"], "message": message}}


def test_there_are_recorded_cases() -> None:
    assert len(RECORDED) > 2000


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{path.stem}: {case['name']}") for path, case in RECORDED]
)
def test_the_result_is_that_of_go(case: Case) -> None:
    ours = outcome(case)
    assert ours == expected(case, ours)


@pytest.mark.parametrize("case", cases(DIFFERENCES), ids=lambda case: str(case["name"]))
def test_what_differs_differs_as_meant(case: Case) -> None:
    ours = outcome(case)
    theirs = {key: case[key] for key in ("output", "error") if key in case}
    assert ours != theirs
    told = ours if "output" in ours else {"message": ours["error"]["message"]}
    assert told == case["ours"]
