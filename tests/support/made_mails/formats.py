"""What is found within mails: reports, calendars, pictures, and Outlook's winmail.dat."""

import struct

from tests.support.made_mails.writing import container, mail, part, text

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
"""A picture of one transparent point."""

CALENDAR = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:REQUEST\r\n"
    b"BEGIN:VEVENT\r\nUID:1@example.com\r\nDTSTAMP:20250106T100000Z\r\n"
    b"DTSTART:20250107T100000Z\r\nDTEND:20250107T110000Z\r\nSUMMARY:Meeting\r\n"
    b"ORGANIZER:mailto:ann@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)

ORIGINAL = mail(b"Subject: Original", body=b"original\r\n")

REPORTS = {
    "delivery-status": container(
        b"report",
        text(b"The mail could not be delivered."),
        part(
            b"Content-Type: message/delivery-status",
            body=b"Reporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; "
            b"bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        ),
        part(b"Content-Type: message/rfc822", body=ORIGINAL),
        more=b"; report-type=delivery-status",
    ),
    "disposition-notification": container(
        b"report",
        text(b"The mail was displayed."),
        part(
            b"Content-Type: message/disposition-notification",
            body=b"Reporting-UA: example\r\nFinal-Recipient: rfc822; bob@example.org\r\n"
            b"Disposition: manual-action/MDN-sent-manually; displayed\r\n",
        ),
        more=b"; report-type=disposition-notification",
    ),
    "feedback-report": container(
        b"report",
        text(b"This is an abuse report."),
        part(
            b"Content-Type: message/feedback-report",
            body=b"Feedback-Type: abuse\r\nUser-Agent: example/1\r\nVersion: 1\r\n",
        ),
        part(b"Content-Type: text/rfc822-headers", body=ORIGINAL.partition(b"\r\n\r\n")[0]),
        more=b"; report-type=feedback-report",
    ),
}
"""RFC 3464, RFC 8098 and RFC 5965."""


def _attribute(level: int, identifier: int, data: bytes) -> bytes:
    head = struct.pack("<BII", level, identifier, len(data))
    return head + data + struct.pack("<H", sum(data) & 0xFFFF)


WINMAIL = (
    struct.pack("<IH", 0x223E9F78, 1)
    + _attribute(1, 0x00089006, struct.pack("<I", 0x00010000))  # attTnefVersion
    + _attribute(1, 0x00069007, struct.pack("<II", 1252, 0))  # attOemCodepage
    + _attribute(1, 0x00078008, b"IPM.Microsoft Mail.Note\0")  # attMessageClass
    + _attribute(1, 0x00018004, b"Hello\0")  # attSubject
    + _attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0, 0, 0, 0))  # attAttachRenddata
    + _attribute(2, 0x00018010, b"a.txt\0")  # attAttachTitle
    + _attribute(2, 0x0006800F, b"content")  # attAttachData
)
"""A valid Transport Neutral Encapsulation (MS-OXTNEF) of a mail with one file."""
