"""Mails made from tables of what mails are: the same ones each time.

    python -m tests.support.made_mails DIRECTORY

writes them into files, to look at.
"""

from collections.abc import Iterator

from tests.support.made_mails import (
    charsets,
    damages,
    encodings,
    file_names,
    headers,
    structures,
)
from tests.support.made_mails.writing import Made

__all__ = ["Made", "made_mails"]


def made_mails() -> Iterator[Made]:
    """Yield all of them."""
    for table in (charsets, encodings, headers, file_names, structures, damages):
        yield from table.mails()
