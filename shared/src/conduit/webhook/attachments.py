"""The attachments of a webhook call: with contents, with links to these, or described only."""

from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from conduit.mail.parse import Attachment
from conduit.model.payload_options import AttachmentMode

_Json = dict[str, Any]

LEFT_OUT = "the webhook's payload options leave the contents of attachments out"


@dataclass(frozen=True, slots=True)
class Links:
    """Where one mail's attachments can be fetched, by their position from 0, and until when."""

    url_of: Callable[[int], str]
    expires_at: datetime


def attachments(
    of: Sequence[Attachment], mode: AttachmentMode, *, limit: int, links: Links | str
) -> list[_Json]:
    """Return the field `attachments`; `limit` is in octets of all contents that are in the call.

    `links` as text says why there are none, where the mode asks for them.
    """
    if not of:
        return []
    if mode is AttachmentMode.INLINE:
        return list(_with_contents(of, limit))
    if mode is AttachmentMode.LINKS and isinstance(links, Links):
        return [
            {
                **_described(attachment),
                "url": links.url_of(index),
                "url_expires_at": links.expires_at,
            }
            for index, attachment in enumerate(of)
        ]
    reason = links if mode is AttachmentMode.LINKS else LEFT_OUT
    return [{**_described(attachment), "reason": reason} for attachment in of]


def _with_contents(of: Sequence[Attachment], limit: int) -> Iterator[_Json]:
    """Yield each attachment, its content for as long as the sum stays within the limit."""
    left = limit
    for attachment in of:
        if attachment.size > left:
            reason = f"the attachments of one call are limited to {limit} octets"
            yield {**_described(attachment), "reason": reason}
            continue
        left -= attachment.size
        yield {**_described(attachment), "content": _base64(attachment.content)}


def _described(attachment: Attachment) -> _Json:
    told = {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "content_id": attachment.content_id,
        "inline": attachment.inline,
    }
    return {name: value for name, value in told.items() if value is not None}


def _base64(content: bytes) -> orjson.Fragment:
    """Return octets as a JSON string, which orjson takes over without looking through it."""
    return orjson.Fragment(b'"%b"' % b2a_base64(content, newline=False))
