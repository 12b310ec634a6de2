"""The call that a webhook gets for a mail: its body, and its signed headers."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail, parse
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.security.secrets import SecretBox
from conduit.webhook import payload
from conduit.webhook.attachments import Links
from conduit.webhook.shape import shaped
from conduit.webhook.signature import sign
from conduit_dispatcher.opened import Opened

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
    """Builds calls; it alone opens the secrets of webhooks.

    Both limits are in octets, and of any webhook's call; its own may be lower.
    """

    def __init__(self, box: SecretBox, *, attachment_limit: int, body_limit: int) -> None:
        self._opened = Opened(box)
        self._attachment_limit = attachment_limit
        self._body_limit = body_limit
        self._shapers = ThreadPoolExecutor(_SHAPERS, thread_name_prefix="template")

    async def build(
        self,
        mail: ParsedMail,
        event: MailAccepted,
        webhook: Webhook,
        links: Links | str = payload.NO_LINKS,
    ) -> Call:
        """Return the call for one mail; the signature carries the present time.

        `links` are to the mail's attachments, for a webhook that asks for them. Raise ShapeError
        when the webhook's template makes no JSON of this mail, or too much of it.
        """
        body, now = await self._body(mail, event, webhook, links), utc_now()
        signers = [self._opened.signer(each, webhook.id) for each in webhook.signing_secrets(now)]
        custom = {
            name: self._opened.text(value, webhook.id)
            for name, value in webhook.custom_headers.items()
        }
        signature = sign(body, signers, event.delivery_id, int(now.timestamp()))
        return Call(body, {**custom, "Content-Type": "application/json", **signature})

    async def _body(
        self, mail: ParsedMail, event: MailAccepted, webhook: Webhook, links: Links | str
    ) -> bytes:
        options = webhook.payload
        attachment_limit = _lower(options.attachment_limit, self._attachment_limit)
        body_limit = _lower(options.body_limit, self._body_limit)
        if webhook.payload_template is not None:
            fields = partial(
                payload.fields,
                mail,
                event,
                attachment_limit=attachment_limit,
                options=options,
                links=links,
            )
            return await asyncio.get_running_loop().run_in_executor(
                self._shapers, _shaped, webhook.payload_template, fields, body_limit
            )
        build = partial(
            payload.build,
            mail,
            event,
            attachment_limit=attachment_limit,
            body_limit=body_limit,
            options=options,
            links=links,
        )
        return build() if event.size < _LARGE else await asyncio.to_thread(build)


def _shaped(template: str, fields: Callable[[], Mapping[str, Any]], limit: int) -> bytes:
    return shaped(template, fields(), limit)


def _lower(limit: int | None, most: int) -> int:
    return most if limit is None or limit > most else limit
