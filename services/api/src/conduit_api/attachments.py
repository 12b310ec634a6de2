"""Attachments by their signed links, which webhook calls have in place of contents.

Whoever has a link may follow it, so that nothing else is asked for. What comes is a stranger's
file: it is handed out as one to be saved, of a type that no browser runs, and in a sandbox.
"""

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from conduit.mail.parse import Attachment, parse
from conduit.model.record import utc_now
from conduit.model.remote_address import network_of
from conduit.security.attachment_links import AttachmentLink
from conduit.store.messages import CHUNK
from conduit_api.context import Context
from conduit_api.errors import Gone, NotFound, TooManyRequests
from conduit_api.origin import ORIGIN
from conduit_api.room import Room

_ROOM = 128 * 1024 * 1024
"""Octets of mails and attachments that downloads may hold in memory at a time, in this process."""
_PATIENCE = 20.0  # seconds for which a download waits for its part of this
_LONGEST = 300.0  # seconds that sending one may take
_PIECE = 64 * 1024

_NUMBER = re.compile(r"[0-9]{1,12}")
# Types that are data wherever they are opened; images in SVG have scripts, and are none of these.
_HARMLESS = re.compile(
    r"(?:audio|font|video)/[a-z0-9][a-z0-9.+-]{0,60}|image/(?:png|jpeg|gif|webp|avif|bmp|tiff|heic)"
    r"|text/(?:plain|csv|calendar)|application/(?:pdf|zip|gzip|json|rtf|msword|vnd\.[a-z0-9.-]{1,80})"
)
_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Attachments:
    """Answers requests for attachments."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._room = Room(_ROOM, _PATIENCE)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Send what the link names, or raise an ApiError."""
        client = network_of(request[ORIGIN].client)
        if wait := self._context.throttles.download.wait(client):
            raise TooManyRequests(wait)
        link = self._link_of(request)
        needed = await self._needed(link)
        async with self._room.taken(needed, client) as place:
            attachment = await self._attachment(link)
            place.keep(attachment.size)
            return await _sent(request, attachment, link)

    def _link_of(self, request: web.Request) -> AttachmentLink:
        """Return the link that was followed, if it is one of ours and not expired."""
        names, query = request.match_info, request.query
        index, expires = names["index"], query.get("expires", "")
        if not (_NUMBER.fullmatch(index) and _NUMBER.fullmatch(expires)):
            raise _no_such_link()
        link = AttachmentLink(names["webhook_id"], names["message_id"], int(index), int(expires))
        if not self._context.attachment_links.is_signed(link, query.get("signature", "")):
            raise _no_such_link()
        if utc_now() >= datetime.fromtimestamp(link.expires, UTC):
            raise Gone("link_expired", "This link has expired.")
        return link

    async def _needed(self, link: AttachmentLink) -> int:
        """Return the octets that a mail and its attachment take at most while one is sent."""
        if await self._context.webhooks.of_id(link.webhook_id) is None:
            raise _no_such_link()
        kept = await self._context.messages.kept([link.message_id])
        if not kept:
            raise _not_kept()
        return 2 * CHUNK * kept[link.message_id]

    async def _attachment(self, link: AttachmentLink) -> Attachment:
        raw = await self._context.messages.get(link.message_id)
        if raw is None:
            raise _not_kept()
        mail = await asyncio.to_thread(parse, raw)
        if link.index >= len(mail.attachments):
            raise _no_such_link()
        return mail.attachments[link.index]


async def _sent(
    request: web.Request, attachment: Attachment, link: AttachmentLink
) -> web.StreamResponse:
    """Send an attachment in pieces; a client that takes too long is cut off."""
    response = web.StreamResponse(
        headers={
            "Content-Type": content_type(attachment),
            "Content-Disposition": disposition(attachment, link.index),
            "Content-Security-Policy": _POLICY,
        }
    )
    response.content_length = attachment.size
    try:
        async with asyncio.timeout(_LONGEST):
            await response.prepare(request)
            if request.method != "HEAD":
                await _write(response, attachment.content)
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:  # half an answer cannot become another one
            request.transport.abort()
    return response


async def _write(response: web.StreamResponse, content: bytes) -> None:
    view = memoryview(content)
    for start in range(0, len(view), _PIECE):
        await response.write(view[start : start + _PIECE])


def content_type(attachment: Attachment) -> str:
    """Return the type that the sender gave where it is harmless, else that of any file."""
    given = attachment.content_type
    return given if _HARMLESS.fullmatch(given) else "application/octet-stream"


def disposition(attachment: Attachment, index: int) -> str:
    """Return a file to be saved, under its name (RFC 6266, RFC 8187)."""
    name = attachment.filename or f"attachment-{index + 1}"
    plain = re.sub(r'[^ !#-\[\]-~]|[%"\\]', "_", name)
    encoded = quote(name.encode(errors="replace"), safe="!#$&+-.^_`|~")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _no_such_link() -> NotFound:
    return NotFound("attachment")


def _not_kept() -> Gone:
    return Gone("message_not_kept", "The mail of this attachment is not kept any more.")
