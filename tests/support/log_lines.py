"""A service's log, line by line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def log_lines(log: Path) -> Iterator[dict[str, Any]]:
    """Yield what each line tells; one is passed over that was half written at a kill."""
    for line in log.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
