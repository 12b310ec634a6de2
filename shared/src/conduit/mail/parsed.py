"""A mail as fields, which is what a webhook's payload is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Someone in a header field: display name and address, each empty when it was not given."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a mail that is not its text.

    `filename` has no directories. `content_type` is lower-case, without parameters. `content_id`
    is without its angle brackets, as in `cid:` links. `inline` tells that the mail means to show
    the part within its text. `content` has the transfer encoding undone.
    """

    filename: str | None
    content_type: str
    content_id: str | None
    inline: bool
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class ParsedMail:
    """What a mail says, as text that is always valid Unicode without NUL.

    `message_id` is the header's value with its angle brackets. `date` is in UTC. `headers` has the
    decoded values of all fields that have no place of their own here, by the name as it was first
    written. `text` and `html` have `\\n` as line ends and are None when there is no such part, or
    only an empty one. `notes` tell what was left out or guessed, and why. `is_reply` tells whether
    the mail says that it answers another one.
    """

    message_id: str | None
    subject: str | None
    date: datetime | None
    from_: Mailbox | None
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    headers: Mapping[str, tuple[str, ...]]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]
    notes: tuple[str, ...]
    is_reply: bool = False
