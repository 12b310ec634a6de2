"""The fields of a mail's header that have a meaning of their own, and all the others."""

import re
from datetime import datetime

from conduit.mail.dates import read_date
from conduit.mail.head import Head
from conduit.mail.mailboxes import MAX_MAILBOXES, read_mailboxes
from conduit.mail.notes import Notes
from conduit.mail.parsed import Mailbox
from conduit.mail.trace import message_id_of
from conduit.mail.words import Value, subject_of, text_of

_ELSEWHERE = frozenset(
    ["message-id", "from", "to", "subject", "date", "content-type", "mime-version"]
)

_PREFIX = 40  # characters of a subject in which its prefix must be complete
_OF_REPLIES = frozenset(["in-reply-to", "references"])  # RFC 5322 §3.6.4
_COLONS = frozenset(":：")
# What programs put before the subject, each in its language.
_REPLY = re.compile(
    r"\s*(?:re|aw|antw|antwort|sv|vs|rv|rif|ré|odp|res|ynt|atb|回复|答复|回覆|返信)"
    r"(?:\[\d{1,3}\])?\s?[:：]",
    re.IGNORECASE,
)


class Header:
    """A mail's header; names are given in lower case."""

    def __init__(self, head: Head, notes: Notes) -> None:
        self._notes = notes
        self._names = head.names
        self._values = head.values

    def message_id(self) -> str | None:
        """The Message-ID with its angle brackets."""
        value = self._first("message-id")
        return None if value is None else message_id_of(value)

    def subject(self) -> str | None:
        """The subject, decoded."""
        value = self._first("subject")
        return None if value is None else subject_of(value, self._notes)

    def is_reply(self, subject: str | None) -> bool:
        """Whether the mail answers another one; some programs say so in the subject only."""
        if not self._values.keys().isdisjoint(_OF_REPLIES):
            return True
        beginning = "" if subject is None else subject[:_PREFIX]
        return not _COLONS.isdisjoint(beginning) and _REPLY.match(beginning) is not None

    def date(self) -> datetime | None:
        """When the mail was written, if it says so."""
        value = self._first("date")
        date = None if value is None else read_date(text_of(value, self._notes))
        if value is not None and date is None:
            self._notes.add("the Date field is not a date")
        return date

    def author(self) -> Mailbox | None:
        """The first mailbox of the From field."""
        value = self._first("from")
        mailboxes = () if value is None else read_mailboxes(value, self._notes)
        if len(mailboxes) > 1:
            self._notes.add("the From field has several mailboxes, the first one is given")
        return mailboxes[0] if mailboxes else None

    def mailboxes(self, name: str) -> tuple[Mailbox, ...]:
        """The mailboxes of all fields of this name."""
        values = self._values.get(name, ())
        if len(values) == 1:
            return read_mailboxes(values[0], self._notes)
        found: list[Mailbox] = []
        for value in values:
            found += read_mailboxes(value, self._notes)
        return tuple(found[:MAX_MAILBOXES])

    def others(self) -> dict[str, tuple[str, ...]]:
        """The values of all fields that a payload has no other place for."""
        others: dict[str, tuple[str, ...]] = {}
        for key, values in self._values.items():
            if key not in _ELSEWHERE:
                others[self._names[key]] = tuple([text_of(value, self._notes) for value in values])
        return others

    def _first(self, name: str) -> Value | None:
        """The value of a field that may occur once (RFC 5322 §3.6)."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            self._notes.add(f"there are {len(values)} {name} fields, the first one is given")
        return values[0]
