"""Filters of mails as the store reads them, and how far it counts what they find."""

from datetime import UTC, datetime, timedelta

from conduit.model.delivery import MailFilter
from conduit.store.connection import Document

COUNTED = 10_000
"""How far matches are counted: a count walks the index, which may have millions of them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def match_of(webhook_id: str, moment: str, wanted: MailFilter) -> Document:
    """Return what matches a webhook's mails; `moment` is the field that the time is about."""
    match: Document = {"webhook_id": webhook_id}
    if wanted.sender is not None:
        match["sender"] = wanted.sender
    if wanted.smtp_message_ids:
        match["smtp_message_id"] = {"$in": list(wanted.smtp_message_ids)}
    within = _within(wanted.since, wanted.until)
    return match | ({moment: within} if within else {})


def _within(since: datetime | None, until: datetime | None) -> Document:
    """Return the range of time, both of its ends exclusive; the store keeps milliseconds.

    SecantusDB loses the entries at an inclusive end ($gte) when the index is descending and has
    fields behind the moment, as those of our lists have.
    """
    within: Document = {}
    if since is not None:
        within["$gt"] = max(since, _EPOCH) - _MILLISECOND
    if until is not None:
        within["$lt"] = until
    return within
