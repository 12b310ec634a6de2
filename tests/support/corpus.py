"""All mails that the tests have: those of other programs, our own, and the made ones."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.made_mails import Made, made_mails

MAILS = Path(__file__).parents[1] / "data" / "mails"
EXPECTED = MAILS / "corpus" / "expected.json"
"""What is to become of some of the files, by name."""


def corpus() -> Iterator[Made]:
    """Yield each mail, the files first, under the name of its file below tests/data/mails."""
    yield from filed_mails()
    yield from made_mails()


def filed_mails() -> Iterator[Made]:
    """Yield the mails that are files."""
    expected = _expected()
    for path in sorted(MAILS.rglob("*.eml")):
        name = path.relative_to(MAILS).with_suffix("").as_posix().removeprefix("corpus/")
        yield Made(name, path.read_bytes(), expected.get(name, {}))


@cache
def _expected() -> dict[str, dict[str, object]]:
    mails: dict[str, dict[str, object]] = json.loads(EXPECTED.read_text())
    return mails
