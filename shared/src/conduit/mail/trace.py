"""What a mail's header tells of its way, read without parsing the mail."""

from conduit.mail.fields import read_section
from conduit.mail.notes import Notes
from conduit.mail.words import text_of

MAX_MESSAGE_ID = 998  # characters, the longest line that a header may have (RFC 5322 §2.1.1)


def received_count(raw: bytes) -> int:
    """Return through how many hosts a mail came: one Received field each (RFC 5321 §4.4)."""
    section = read_section(raw, 0, len(raw))
    return sum(name.lower() == b"received" for name, _ in section.fields)


def smtp_message_id(raw: bytes) -> str | None:
    """Return the value of the first Message-ID field."""
    for name, value in read_section(raw, 0, len(raw)).fields:
        if name.lower() == b"message-id":
            return message_id_of(value)
    return None


def message_id_of(value: bytes) -> str | None:
    """Return the value of a Message-ID field as text, or None when it can't be one."""
    text = text_of(value, Notes())
    return text if 0 < len(text) <= MAX_MESSAGE_ID else None
