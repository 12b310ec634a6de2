"""What the header of a part says of its body (RFC 2045, RFC 2183)."""

import re
from dataclasses import dataclass
from functools import lru_cache

from conduit.mail.head import Head
from conduit.mail.notes import Notes
from conduit.mail.parameters import Parametrised, read_parametrised
from conduit.mail.words import Value, text_of

MAX_NAME = 255  # characters of a file name, the limit of common file systems

_WORD = r"[!#-'*+\-.0-9^-~]++"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_BEGINNING = re.compile(rf"({_WORD}) ?/ ?({_WORD})(?![^\s,])")  # of what lacks a semicolon
_DIRECTORIES = frozenset(["", ".", ".."])

_REMEMBERED = 500  # those of texts are few, and each is in many mails
_SHORT = 100  # characters of what is remembered, for each field


@dataclass(frozen=True, slots=True)
class Description:
    """How to read a body, and what it is called.

    `media_type`, `disposition` and `encoding` are in lower case, the last two empty when there is
    none, as is `boundary`. `content_id` is without its angle brackets, `filename` without
    directories.
    """

    media_type: str
    charset: str | None
    boundary: str
    disposition: str
    encoding: str
    content_id: str | None
    filename: str | None


def describe(head: Head, default: str, notes: Notes) -> Description:
    """Read the fields of a part's header; `default` is the type of a part that names none."""
    if head.problem:
        notes.add(head.problem)
    content_type, encoding = head.first("content-type"), head.first("content-transfer-encoding")
    disposition, content_id = head.first("content-disposition"), head.first("content-id")
    if disposition or content_id or not (_is_common(content_type) and _is_common(encoding)):
        return _described(content_type, encoding, disposition, content_id, default, notes)
    description, told = _remembered(content_type, encoding, default)
    for note in told:
        notes.add(note)
    return description


def _is_common(value: Value) -> bool:
    """Whether many mails have the same; each boundary is in one mail only."""
    return isinstance(value, str) and len(value) <= _SHORT and "boundary" not in value


@lru_cache(maxsize=_REMEMBERED)
def _remembered(
    content_type: str, encoding: str, default: str
) -> tuple[Description, tuple[str, ...]]:
    """Return a description and the notes on it."""
    notes = Notes()
    return _described(content_type, encoding, "", "", default, notes), notes.all()


def _described(
    content_type: Value,
    encoding: Value,
    disposition: Value,
    content_id: Value,
    default: str,
    notes: Notes,
) -> Description:
    typed = read_parametrised(content_type, notes)
    disposed = read_parametrised(disposition, notes)
    encoding = text_of(encoding, notes)
    content_id = text_of(content_id, notes)
    return Description(
        media_type=_media_type(typed, disposed, default, notes),
        charset=typed.token("charset") or None,
        boundary=typed.parameters.get("boundary", "").rstrip(),
        disposition=disposed.value,
        encoding=encoding.partition("(")[0].strip(' ;"').lower(),
        content_id=content_id.removeprefix("<").removesuffix(">") or None,
        filename=_filename(typed, disposed, notes),
    )


def _media_type(typed: Parametrised, disposed: Parametrised, default: str, notes: Notes) -> str:
    media_type = typed.value
    if _MEDIA_TYPE.fullmatch(media_type):
        return media_type
    if media_type:
        notes.add(f"content type {media_type[:40]!a} is not valid")
    meant = _BEGINNING.match(media_type)
    if meant is not None:
        return f"{meant[1]}/{meant[2]}"
    return "application/octet-stream" if disposed.value == "attachment" else default


def _filename(typed: Parametrised, disposed: Parametrised, notes: Notes) -> str | None:
    name = disposed.parameters.get("filename") or typed.parameters.get("name")
    if not name:
        return None
    decoded = text_of(name.encode(), notes)
    # Directories are the sender's choice of where the receiver would write (RFC 2183 §2.3).
    name = re.split(r"[/\\]", decoded)[-1].strip()
    return None if name in _DIRECTORIES else name[:MAX_NAME]
