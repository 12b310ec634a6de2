"""Writes the mails into files."""

import sys
from pathlib import Path

from tests.support.made_mails import made_mails

directory = Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
for each in made_mails():
    (directory / f"{each.name}.eml").write_bytes(each.raw)
