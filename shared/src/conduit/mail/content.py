"""The body of a mail: its tree of parts, as text, HTML and attachments (RFC 2046)."""

from collections.abc import Sequence

from conduit.mail.charset import decode
from conduit.mail.description import Description, describe
from conduit.mail.head import Head, read_head
from conduit.mail.multipart import split
from conduit.mail.notes import Notes
from conduit.mail.parsed import Attachment
from conduit.mail.transfer import Decoded, undo

MAX_PARTS = 200  # in the whole mail; newsletters with all their images stay below 100
MAX_NESTING = 20  # what mail programs make stays below 6
MAX_TEXT = 5 << 20  # octets of text and HTML together; what is larger is passed on as a file

Span = tuple[int, int]
"""Where a part's body starts and ends."""


class Body:
    """What has been collected of a mail's body so far."""

    def __init__(self, raw: bytes, notes: Notes) -> None:
        self.attachments: list[Attachment] = []
        self._raw = raw
        self._notes = notes
        self._texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
        self._parts_left = MAX_PARTS
        self._text_left = MAX_TEXT

    @property
    def text(self) -> str | None:
        """The plain text, if there is any."""
        return _joined(self._texts["text/plain"])

    @property
    def html(self) -> str | None:
        """The HTML, if there is any."""
        return _joined(self._texts["text/html"])

    def read(self, head: Head, end: int) -> None:
        """Collect the body that follows the mail's header section."""
        self._read(head, end, "text/plain", parent="", depth=0)

    def _read(self, head: Head, end: int, default: str, *, parent: str, depth: int) -> None:
        part = describe(head, default, self._notes)
        span = head.body, end
        if part.media_type.startswith("multipart/"):
            self._read_multipart(part, span, depth)
        elif _is_shown(part, parent):
            self._collect_text(part, span, part.media_type)
        else:
            self._attach(part, self._undo(part, span).octets)

    def _read_multipart(self, part: Description, span: Span, depth: int) -> None:
        start, end = span
        if depth == MAX_NESTING:
            self._notes.add(
                f"parts nested more than {MAX_NESTING} deep were left as one attachment"
            )
            self._attach(part, self._raw[start:end])
            return
        found = split(self._raw, start, end, part.boundary.encode(), self._parts_left)
        if found.problem:
            self._notes.add(found.problem)
        if found.parts is None:
            self._collect_text(part, span, "text/plain")
            return
        self._parts_left -= len(found.parts)
        default = "message/rfc822" if part.media_type == "multipart/digest" else "text/plain"
        for start, end in found.parts:
            head = read_head(self._raw, start, end)
            self._read(head, end, default, parent=part.media_type, depth=depth + 1)

    def _collect_text(self, part: Description, span: Span, media_type: str) -> None:
        decoded = self._undo(part, span)
        octets = self._raw[slice(*span)] if decoded.garbled else decoded.octets
        if len(octets) > self._text_left:
            self._notes.add(f"text beyond {MAX_TEXT} octets was left as an attachment")
            self._attach(part, octets)
            return
        self._text_left -= len(octets)
        text = decode(octets, part.charset, self._notes)
        if text:
            self._texts[media_type].append(_with_newlines(text))

    def _undo(self, part: Description, span: Span) -> Decoded:
        decoded = undo(self._raw, *span, part.encoding)
        if decoded.problem:
            self._notes.add(decoded.problem)
        return decoded

    def _attach(self, part: Description, content: bytes) -> None:
        self.attachments.append(
            Attachment(
                filename=part.filename,
                content_type=part.media_type,
                content_id=part.content_id,
                inline=part.disposition == "inline"
                or (not part.disposition and part.content_id is not None),
                content=content,
            )
        )


def _is_shown(part: Description, parent: str) -> bool:
    """Whether a part is the mail's text rather than a file that is attached to it."""
    if part.media_type not in {"text/plain", "text/html"} or part.disposition == "attachment":
        return False
    return part.filename is None or parent in {"", "multipart/alternative"}


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _joined(texts: Sequence[str]) -> str | None:
    """Join texts, each beginning on a line of its own."""
    if len(texts) < 2:
        return texts[0] if texts else None
    *first, last = texts
    return "".join([*(text if text.endswith("\n") else f"{text}\n" for text in first), last])
