"""What a benchmark found that has several contenders in turn, and how it is told."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

PAYERS = (
    "server",
    "dispatcher",
    "client",
    "RabbitMQ",
    "store",
    "endpoint",
    "smtp-source",
    "all else",
)
"""Who takes CPU time in a turn."""

_NAME = 20
_PAYER = 13


@dataclass(frozen=True)
class Turn:
    """One turn of one contender; CPU in seconds by whom took it."""

    mails: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Mails a second."""
        return self.mails / self.seconds


@dataclass
class Row:
    """All turns of one contender, or why it has none."""

    name: str
    turns: list[Turn] = field(default_factory=list)
    refused: str | None = None


def table(rows: Sequence[Row], what: str = "accepted mails") -> Iterator[str]:
    """Yield lines with rates and CPU time; all rows have been measured in turn."""
    paying = {payer for row in rows for turn in row.turns for payer in turn.cpu}
    payers = [payer for payer in PAYERS if payer in paying]
    cpu = "CPU ms for one of them (median)"
    yield f"{'':{_NAME}}  {what + '/s':29}  {cpu}"
    heads = ("min", "median", "max")
    yield " " * _NAME + _cells(heads, 10) + " " + _cells(payers, _PAYER)
    for row in rows:
        if row.refused is None:
            paid = _cells([_paid(row.turns, payer) for payer in payers], _PAYER)
            yield f"{row.name:{_NAME}}{_three([turn.rate for turn in row.turns], 0)} {paid}"
        else:
            yield f"{row.name:{_NAME}}  refused: {row.refused}"


def ratios(rows: Sequence[Row], references: int) -> Iterator[str]:
    """Yield each later row's rates as ratios to the first ones', round by round."""
    yield f"{'ratio in the same round':{2 * _NAME}}{_cells(('min', 'median', 'max'), 10)}"
    for row in rows[references:]:
        for reference in rows[:references]:
            if row.refused is None and reference.refused is None:
                values = [a.rate / b.rate for a, b in zip(row.turns, reference.turns, strict=True)]
                name = f"{row.name} / {reference.name}"
                yield f"{name:{2 * _NAME}}{_three(values, 2)}"


def _paid(turns: Sequence[Turn], payer: str) -> str:
    values = [1000 * turn.cpu[payer] / turn.mails for turn in turns if payer in turn.cpu]
    return f"{statistics.median(values):.3f}" if values else "-"


def _three(values: Sequence[float], digits: int) -> str:
    found = (min(values), statistics.median(values), max(values))
    return _cells([f"{value:.{digits}f}" for value in found], 10)


def _cells(texts: Sequence[str], width: int) -> str:
    return "".join(f"{text:>{width}}" for text in texts)
