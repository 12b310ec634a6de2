"""The Date field (RFC 5322 §3.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_DATE = 200  # characters; a date with a long comment has 60


def read_date(text: str) -> datetime | None:
    """Return the moment in UTC, or None when `text` is no date. `-0000` is taken as UTC."""
    if len(text) > MAX_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them occur
        return None
