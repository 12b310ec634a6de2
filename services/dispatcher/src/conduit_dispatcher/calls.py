"""The call that a webhook gets for a mail: its body, and its signed headers."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail, parse
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.security.secrets import SecretBox
from conduit.webhook import payload
from conduit.webhook.shape import shaped
from conduit.webhook.signature import sign

_LARGE = 64 * 1024
"""Octets of a mail from which it is parsed in a thread, so that the others' calls go on."""

_SHAPERS = 2
"""Templates that are rendered at a time: one may take a second, and others share the processor."""


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
        self._shapers = ThreadPoolExecutor(_SHAPERS, thread_name_prefix="template")

    async def build(self, mail: ParsedMail, event: MailAccepted, webhook: Webhook) -> Call:
        """Return the call for one mail; the signature carries the present time.

        Raise ShapeError when the webhook's template makes no JSON of this mail.
        """
        body, now = await self._body(mail, event, webhook.payload_template), utc_now()
        secrets = [self._box.open(secret, webhook.id) for secret in webhook.signing_secrets(now)]
        custom = {
            name: self._box.open(value, webhook.id)
            for name, value in webhook.custom_headers.items()
        }
        signature = sign(body, secrets, event.delivery_id, int(now.timestamp()))
        return Call(body, {**custom, "Content-Type": "application/json", **signature})

    async def _body(self, mail: ParsedMail, event: MailAccepted, template: str | None) -> bytes:
        if template is not None:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._shapers, self._shaped, template, mail, event)
        if event.size < _LARGE:
            return payload.build(mail, event, attachment_limit=self._attachment_limit)
        return await asyncio.to_thread(
            payload.build, mail, event, attachment_limit=self._attachment_limit
        )

    def _shaped(self, template: str, mail: ParsedMail, event: MailAccepted) -> bytes:
        fields = payload.fields(mail, event, attachment_limit=self._attachment_limit)
        return shaped(template, fields)
