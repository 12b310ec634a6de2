"""A header section's fields by their names, their values as text where they are text already.

Most sections are printable ASCII. Such a one is decoded as a whole and split by one expression,
which takes a third of the time that its fields take one by one. The values say the same then as in
octets: `conduit.mail.words` reads both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conduit.mail.fields import MAX_FIELDS, blank_line, read_section
from conduit.mail.words import Value

MAX_PLAIN = 16_384  # octets; no value in them is too long for whatever reads it

# A field in printable ASCII, its folds marked by a blank each, or all that is left where none is.
_FIELD = re.compile(
    r"([!-9;-~]++) *+:([ -~]*+(?:\r?\n[ \t][ -~]*+)*+)\r?\n|(?s:.++)",
)


@dataclass(frozen=True, slots=True)
class Head:
    """The fields, where the body starts, and what was wrong with the section, if anything.

    `names` has names as they were first written, `values` what stands under each, in its order;
    both by the name in lower case.
    """

    names: Mapping[str, str]
    values: Mapping[str, Sequence[Value]]
    body: int
    problem: str | None = None

    def first(self, name: str) -> Value:
        """The value of the first field of this name, empty when there is none."""
        values = self.values.get(name)
        return "" if values is None else values[0]


def read_head(raw: bytes, start: int, end: int, *, kept: bool = False) -> Head:
    """Read the header section that starts at `start`; `kept` is as for `read_section`."""
    return plain_head(raw, start, end) or any_head(raw, start, end, kept=kept)


def any_head(raw: bytes, start: int, end: int, *, kept: bool) -> Head:
    """Read a header section, whatever it is like.

    Of a part's section, which is not `kept`, only fields on its body are taken: some have thousands
    of others that nobody asks for.
    """
    section = read_section(raw, start, end, kept=kept)
    names: dict[str, str] = {}
    values: dict[str, list[Value]] = {}
    for octets, value in section.fields:
        if not kept and octets[:8].lower() != b"content-":
            continue
        key = octets.lower().decode("ascii")
        if key in names:
            values[key].append(value)
        else:
            names[key], values[key] = octets.decode("ascii"), [value]
    return Head(names, values, section.body, section.problem)


def plain_head(raw: bytes, start: int, end: int) -> Head | None:
    """Read a header section of nothing but fields in printable ASCII, None when it is none.

    One without fields counts as such, as many parts have it; one without an end does not.
    """
    last, body = blank_line(raw, start, min(end, start + MAX_PLAIN))
    section = raw[start:last]
    if last == body or not section.isascii() or section.startswith(b"From "):
        return None
    fields = _FIELD.findall(section.decode("ascii"))
    if len(fields) > MAX_FIELDS or (fields and not fields[-1][0]):
        return None
    names: dict[str, str] = {}
    values: dict[str, list[Value]] = {}
    for name, folded in fields:
        key = name.lower()
        value = _unfolded(folded) if "\n" in folded else folded.strip()
        if key in names:
            values[key].append(value)
        else:
            names[key], values[key] = name, [value]
    return Head(names, values, body)


def _unfolded(value: str) -> str:
    """As `words.unfold`; nearly all fold with one blank, and leave none before the fold."""
    value = value.replace("\r\n", "\n").replace("\n\t", "\n ")
    if "\n  " not in value and " \n" not in value:
        return value.replace("\n ", " ").strip()
    return " ".join([line.strip() for line in value.split("\n")]).strip()
