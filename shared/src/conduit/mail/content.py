"""The body of a mail: its tree of parts, as text, HTML and attachments (RFC 2046)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conduit.mail.charset import decode
from conduit.mail.fields import Field, Section, read_section
from conduit.mail.multipart import split
from conduit.mail.notes import Notes
from conduit.mail.parameters import NOTHING, Parametrised, read_parametrised
from conduit.mail.parsed import Attachment
from conduit.mail.transfer import Decoded, undo
from conduit.mail.words import text_of

MAX_PARTS = 200  # in the whole mail; newsletters with all their images stay below 100
MAX_NESTING = 20  # what mail programs make stays below 6
MAX_TEXT = 5 << 20  # octets of text and HTML together; what is larger is passed on as a file
MAX_NAME = 255  # characters of a file name, the limit of common file systems

_WORD = r"[!#-'*+\-.0-9^-~]++"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_BEGINNING = re.compile(rf"({_WORD}) ?/ ?({_WORD})(?![^\s,])")  # of what lacks a semicolon
_DIRECTORIES = frozenset(["", ".", ".."])


@dataclass(frozen=True, slots=True)
class Part:
    """One part: where its body stands, and what its header says of it."""

    start: int
    end: int
    media_type: str
    content_type: Parametrised
    disposition: Parametrised
    encoding: str
    content_id: str | None
    filename: str | None


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

    def read(self, section: Section, end: int) -> None:
        """Collect the body that follows the mail's header section."""
        self._collect(self._part(section, end, "text/plain"), parent="", depth=0)

    def _part(self, section: Section, end: int, default: str) -> Part:
        """Take from a part's header what tells how to read it."""
        fields = _content_fields(section.fields)
        if section.problem:
            self._notes.add(section.problem)
        content_type = self._parametrised(fields.get(b"content-type"))
        disposition = self._parametrised(fields.get(b"content-disposition"))
        encoding = text_of(fields.get(b"content-transfer-encoding", b""), self._notes)
        content_id = text_of(fields.get(b"content-id", b""), self._notes)
        return Part(
            start=section.body,
            end=end,
            media_type=self._media_type(content_type, disposition, default),
            content_type=content_type,
            disposition=disposition,
            encoding=encoding.partition("(")[0].strip(' ;"').lower(),
            content_id=content_id.removeprefix("<").removesuffix(">") or None,
            filename=self._filename(content_type, disposition),
        )

    def _parametrised(self, value: bytes | None) -> Parametrised:
        return NOTHING if value is None else read_parametrised(value, self._notes)

    def _media_type(
        self, content_type: Parametrised, disposition: Parametrised, default: str
    ) -> str:
        media_type = content_type.value
        if _MEDIA_TYPE.fullmatch(media_type):
            return media_type
        if media_type:
            self._notes.add(f"content type {media_type[:40]!a} is not valid")
        meant = _BEGINNING.match(media_type)
        if meant is not None:
            return f"{meant[1]}/{meant[2]}"
        return "application/octet-stream" if disposition.value == "attachment" else default

    def _filename(self, content_type: Parametrised, disposition: Parametrised) -> str | None:
        name = disposition.parameters.get("filename") or content_type.parameters.get("name")
        if not name:
            return None
        decoded = text_of(name.encode(), self._notes)
        # Directories are the sender's choice of where the receiver would write (RFC 2183 §2.3).
        name = re.split(r"[/\\]", decoded)[-1].strip()
        return None if name in _DIRECTORIES else name[:MAX_NAME]

    def _collect(self, part: Part, parent: str, depth: int) -> None:
        if part.media_type.startswith("multipart/"):
            self._collect_multipart(part, depth)
        elif _is_shown(part, parent):
            self._collect_text(part, part.media_type)
        else:
            self._attach(part, self._undo(part).octets)

    def _collect_multipart(self, part: Part, depth: int) -> None:
        boundary = part.content_type.parameters.get("boundary", "").rstrip()
        if depth == MAX_NESTING:
            self._notes.add(
                f"parts nested more than {MAX_NESTING} deep were left as one attachment"
            )
            self._attach(part, self._raw[part.start : part.end])
            return
        found = split(self._raw, part.start, part.end, boundary.encode(), self._parts_left)
        if found.problem:
            self._notes.add(found.problem)
        if found.parts is None:
            self._collect_text(part, "text/plain")
            return
        self._parts_left -= len(found.parts)
        digest = part.media_type == "multipart/digest"
        for start, end in found.parts:
            section = read_section(self._raw, start, end)
            child = self._part(section, end, "message/rfc822" if digest else "text/plain")
            self._collect(child, part.media_type, depth + 1)

    def _collect_text(self, part: Part, media_type: str) -> None:
        decoded = self._undo(part)
        octets = self._raw[part.start : part.end] if decoded.garbled else decoded.octets
        if len(octets) > self._text_left:
            self._notes.add(f"text beyond {MAX_TEXT} octets was left as an attachment")
            self._attach(part, octets)
            return
        self._text_left -= len(octets)
        text = decode(octets, part.content_type.token("charset") or None, self._notes)
        if text:
            self._texts[media_type].append(_with_newlines(text))

    def _undo(self, part: Part) -> Decoded:
        decoded = undo(self._raw, part.start, part.end, part.encoding)
        if decoded.problem:
            self._notes.add(decoded.problem)
        return decoded

    def _attach(self, part: Part, content: bytes) -> None:
        disposition = part.disposition.value
        self.attachments.append(
            Attachment(
                filename=part.filename,
                content_type=part.media_type,
                content_id=part.content_id,
                inline=disposition == "inline" or (not disposition and part.content_id is not None),
                content=content,
            )
        )


def _content_fields(fields: Sequence[Field]) -> dict[bytes, bytes]:
    """Return the fields that describe a body, the first one of each name."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:8].lower() == b"content-":
            found.setdefault(name.lower(), value)
    return found


def _is_shown(part: Part, parent: str) -> bool:
    """Whether a part is the mail's text rather than a file that is attached to it."""
    if part.media_type not in {"text/plain", "text/html"} or part.disposition.value == "attachment":
        return False
    return part.filename is None or parent in {"", "multipart/alternative"}


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _joined(texts: Sequence[str]) -> str | None:
    """Join texts, each beginning on a line of its own."""
    *first, last = texts or ("",)
    return (
        "".join([*(text if text.endswith("\n") else f"{text}\n" for text in first), last]) or None
    )
