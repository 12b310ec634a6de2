"""Links to a mail's attachments, for calls that have these in place of the contents.

The endpoint may follow a link before it has answered, so that the mail is in the store before the
call, not with its first record.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from conduit.events import MailAccepted
from conduit.model.message import Message
from conduit.security.attachment_links import AttachmentLink, AttachmentLinks
from conduit.webhook.attachments import Links

NOT_KEPT = "there is no link, for this Conduit keeps no mail"
GONE = "there is no link, for the mail is not kept any more"

LEAST = timedelta(days=1)
"""How long a link is good for at least: a call may be made when the mail's time is nearly over."""


class KeptMail(Protocol):
    """Where mails are kept for whoever follows a link."""

    async def keep(self, messages: Sequence[Message]) -> None:
        """Keep mails, passing over those that are there."""

    async def extend(self, message_ids: Collection[str], until: datetime) -> set[str]:
        """Keep mails that are there up to this moment at least; return which are."""


class LinkMaker:
    """Makes links to what is kept for `retention` after its receipt, and keeps it before."""

    def __init__(self, signer: AttachmentLinks, messages: KeptMail, retention: timedelta) -> None:
        self._signer = signer
        self._messages = messages
        self._retention = retention

    async def links_to(self, event: MailAccepted, now: datetime) -> Links | str:
        """Return the links for one call, all of which work from now on, or why there are none."""
        if not self._retention:
            return NOT_KEPT
        kept_until = event.received_at + self._retention
        expires_at = max(kept_until, now + LEAST).replace(microsecond=0)
        if event.raw is not None:
            await self._messages.keep([Message(event.message_id, event.received_at, event.raw)])
        if (event.raw is None or kept_until < expires_at) and not await self._messages.extend(
            [event.message_id], expires_at
        ):
            return GONE
        return Links(partial(self._url, event, int(expires_at.timestamp())), expires_at)

    def _url(self, event: MailAccepted, expires: int, index: int) -> str:
        link = AttachmentLink(event.webhook_id, event.message_id, index, expires)
        return self._signer.url(link)
