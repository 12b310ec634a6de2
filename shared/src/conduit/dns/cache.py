"""Answers of DNS, kept for as long as their owners allow, in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

Question = tuple[str, str]
"""A name in lower case and a type of records."""

Records = tuple[str, ...] | tuple[bytes, ...]

MAX_TTL = 3600.0
"""Seconds after which an answer is asked for again, whatever its TTL: a mistake heals in time."""

_PER_ANSWER = 300
_PER_RECORD = 60
"""Octets that Python needs beside the text, roughly."""


@dataclass(frozen=True, slots=True)
class _Kept:
    records: Records
    expires: float
    octets: int


class DnsCache:
    """Keeps answers by question, empty ones too, up to `octets` in all.

    Mails choose the questions and their senders the answers, of up to 64 KiB each, so it is the
    memory that is counted. What was not asked for the longest goes first.
    """

    def __init__(self, octets: int) -> None:
        self._free = octets
        self._answers: OrderedDict[Question, _Kept] = OrderedDict()

    def get(self, question: Question) -> Records | None:
        """Return the records, or None when there is no answer that is still valid."""
        kept = self._answers.get(question)
        if kept is None:
            return None
        if kept.expires <= monotonic():
            self._drop(question)
            return None
        self._answers.move_to_end(question)
        return kept.records

    def put(self, question: Question, records: Records, ttl: float) -> None:
        """Keep an answer for `ttl` seconds."""
        self._drop(question)
        octets = _PER_ANSWER + sum(map(len, question))
        octets += sum(_PER_RECORD + len(record) for record in records)
        self._answers[question] = _Kept(records, monotonic() + min(ttl, MAX_TTL), octets)
        self._free -= octets
        while self._free < 0:
            self._drop(next(iter(self._answers)))

    def _drop(self, question: Question) -> None:
        kept = self._answers.pop(question, None)
        if kept is not None:
            self._free += kept.octets
