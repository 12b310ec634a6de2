"""The call that a webhook gets for a mail: its body, and its signed headers."""

import asyncio
import time
from dataclasses import dataclass

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail, parse
from conduit.model.webhook import Webhook
from conduit.security.secrets import SecretBox
from conduit.webhook import payload
from conduit.webhook.signature import sign

_LARGE = 64 * 1024
"""Octets of a mail from which it is parsed in a thread, so that the others' calls go on."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is posted."""

    body: bytes
    headers: dict[str, str]


async def read(raw: bytes) -> ParsedMail:
    """Parse a mail."""
    return parse(raw) if len(raw) < _LARGE else await asyncio.to_thread(parse, raw)


class CallBuilder:
    """Builds calls; it alone opens the secrets of webhooks."""

    def __init__(self, box: SecretBox, attachment_limit: int) -> None:
        self._box = box
        self._attachment_limit = attachment_limit

    async def build(self, mail: ParsedMail, event: MailAccepted, webhook: Webhook) -> Call:
        """Return the call for one mail; the signature carries the present time."""
        body = await self._body(mail, event)
        secret = self._box.open(webhook.secret, webhook.id)
        custom = {
            name: self._box.open(value, webhook.id)
            for name, value in webhook.custom_headers.items()
        }
        signature = sign(body, [secret], event.delivery_id, int(time.time()))
        return Call(body, {**custom, "Content-Type": "application/json", **signature})

    async def _body(self, mail: ParsedMail, event: MailAccepted) -> bytes:
        if event.size < _LARGE:
            return payload.build(mail, event, attachment_limit=self._attachment_limit)
        return await asyncio.to_thread(
            payload.build, mail, event, attachment_limit=self._attachment_limit
        )
