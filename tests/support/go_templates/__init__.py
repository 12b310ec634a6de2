"""What Go's text/template makes of the templates in tests/data/templates, recorded.

    python -m tests.support.go_templates

renders them anew with the `go` on PATH (`make test-go` puts one into .venv) and rewrites the files.
Needed after a case was added, whose result is then filled in, or for a newer Go. The recorded
results are held without a Go; with one on PATH, they and templates made at random (made.py) are
compared with what it makes of them now. A file holds `about`, `go` (the version), `data` (for the
cases that have none of their own) and `cases`: `name`, `template`, `data`, and as the result either
`output`, or `error` with stage, line, column (from 1, in octets; none for what does not parse) and
message.
In differences.json `ours` is what we make of a case instead, and `why`.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "data" / "templates"

_PROGRAM = Path(__file__).with_name("main.go")
_MESSAGE = re.compile(r"template: payload:(\d+):(?:(\d+):)? (.*)", re.DOTALL)

Case = dict[str, Any]


def files() -> list[Path]:
    """Return the files of cases."""
    return sorted(DATA.glob("*.json"))


def cases(path: Path) -> list[Case]:
    """Return the cases of a file, each with its data."""
    document = json.loads(path.read_text())
    return [{"data": document.get("data"), **case} for case in document["cases"]]


def answers(requests: list[Case]) -> list[Case]:
    """Return what Go makes of templates with their data."""
    done = subprocess.run(
        ["go", "run", _PROGRAM],
        input=json.dumps(requests),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [_result(answer) for answer in json.loads(done.stdout)]


def record(path: Path) -> None:
    """Write the results of a file's cases into it."""
    document = json.loads(path.read_text())
    results = answers([{k: case[k] for k in ("template", "data")} for case in cases(path)])
    document["go"] = subprocess.run(
        ["go", "env", "GOVERSION"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    document["cases"] = [
        {**_without_result(case), **result}
        for case, result in zip(document["cases"], results, strict=True)
    ]
    path.write_text(_text(document))


def _result(answer: Case) -> Case:
    if "output" in answer:
        return answer
    match = _MESSAGE.fullmatch(answer["message"])
    if match is None:
        raise ValueError(answer["message"])
    error = {"stage": answer["stage"], "line": int(match[1]), "message": match[3]}
    if match[2]:
        error["column"] = int(match[2]) + 1
    return {"error": error}


def _without_result(case: Case) -> Case:
    return {key: value for key, value in case.items() if key not in ("output", "error")}


def _text(document: Case) -> str:
    """Return a file's text: a case on each line."""
    keys = ("about", "go", "data")
    head = [f'"{key}": {json.dumps(document[key])},' for key in keys if key in document]
    lines = ",\n".join(json.dumps(case) for case in document["cases"])
    return "\n".join(["{", *head, '"cases": [', lines, "]", "}", ""])
