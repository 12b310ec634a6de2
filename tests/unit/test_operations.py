"""docs/operations.md says what the code does."""

from pathlib import Path

import pytest

from tests.support.settings_table import tables

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.mark.parametrize(("title", "rows"), [pytest.param(t, r, id=t) for t, r in tables()])
def test_every_setting_is_listed_with_its_default(title: str, rows: list[str]) -> None:
    section = DOCUMENT.partition(f"### {title}\n")[2].partition("\n### ")[0]
    listed = [line for line in section.splitlines() if line.startswith("| `")]
    assert listed == rows, "print the tables anew: python -m tests.support.settings_table"
