"""From the octets of a mail to its fields, whatever the octets.

Every mail that was accepted becomes a webhook call, so nothing here raises: what cannot be read
as it should is read as well as possible, with a note. Work and memory are bounded by the size of
the mail and by the constants of the modules that this one is made of. Mails of many MiB take tens
of milliseconds: a caller with an event loop reads them elsewhere.
"""

from conduit.mail.content import Body
from conduit.mail.head import read_head
from conduit.mail.header import Header
from conduit.mail.notes import Notes
from conduit.mail.parsed import Attachment, Mailbox, ParsedMail

__all__ = ["Attachment", "Mailbox", "ParsedMail", "parse"]


def parse(raw: bytes) -> ParsedMail:
    """Read a mail. It never raises."""
    notes = Notes()
    head = read_head(raw, 0, len(raw), kept=True)
    header = Header(head, notes)
    body = Body(raw, notes)
    body.read(head, len(raw))
    message_id, subject = header.message_id(), header.subject()
    return ParsedMail(
        message_id=message_id,
        subject=subject,
        date=header.date(),
        from_=header.author(),
        to=header.mailboxes("to"),
        cc=header.mailboxes("cc"),
        reply_to=header.mailboxes("reply-to"),
        headers=header.others(),
        text=body.text,
        html=body.html,
        attachments=tuple(body.attachments),
        notes=notes.all(),
        is_reply=header.is_reply(subject),
    )
