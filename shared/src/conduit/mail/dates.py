"""The Date field (RFC 5322 §3.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_DATE = 200  # characters; a date with a long comment has 60

_USUAL = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) ([A-Z][a-z]{2}) ((?:19|20)[0-9]{2})"
    r" ([0-2][0-9]:[0-5][0-9]:[0-5][0-9]) ([+-][0-9]{2})([0-9]{2})(?: \([A-Z]{3,5}\))?"
)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: f"{number:02}" for number, name in enumerate(_NAMES, 1)}


def read_date(text: str) -> datetime | None:
    """Return the moment in UTC, or None when `text` is no date. `-0000` is taken as UTC."""
    return usual_date(text) or any_date(text)


def usual_date(text: str) -> datetime | None:
    """Read a date as nearly all programs write it, in a third of the time that any other takes."""
    match = _USUAL.fullmatch(text)
    if match is None:
        return None
    day, month, year, time, hours, minutes = match.groups()
    try:
        moment = f"{year}-{_MONTHS[month]}-{day:0>2}T{time}{hours}:{minutes}"
        return datetime.fromisoformat(moment).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def any_date(text: str) -> datetime | None:
    """Read a date in whatever form the `email` package knows."""
    if len(text) > MAX_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them occur
        return None
