"""What a mail's header tells of its way, read without parsing the mail, and what we add to it."""

from conduit.mail.authentication_results import authentication_results_field, without_own_results
from conduit.mail.fields import after_mbox_line, begins_header, read_section
from conduit.mail.notes import Notes
from conduit.mail.received import protocol_keyword, received_field
from conduit.mail.words import Value, text_of

__all__ = [
    "authentication_results_field",
    "message_id_of",
    "protocol_keyword",
    "received_count",
    "received_field",
    "smtp_message_id",
    "with_fields",
    "without_own_results",
]

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


def message_id_of(value: Value) -> str | None:
    """Return the value of a Message-ID field as text, or None when it can't be one."""
    text = text_of(value, Notes())
    return text if 0 < len(text) <= MAX_MESSAGE_ID else None


def with_fields(raw: bytes, *fields: bytes) -> bytes:
    """Return a mail with fields, each with its CRLF, on top of its header.

    The line of a mbox file that some mails begin with would end the header there, and goes. What
    begins without a header gets an empty line, so that it cannot continue the last field.
    """
    start = after_mbox_line(raw, 0, len(raw))
    end = b"" if begins_header(raw, start) else b"\r\n"
    return b"".join([*fields, end, memoryview(raw)[start:]])
