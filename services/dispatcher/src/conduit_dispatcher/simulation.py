"""Simulated mail: its owner tries an endpoint, with the call that a mail would cause.

Nothing comes after it: no retry, no pacing, no delivery, and the webhook stays as it is.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Protocol

from conduit.errors import MalformedEvent
from conduit.events import Event, MailAccepted, SimulationDone, SimulationRequested
from conduit.model.delivery import Attempt
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.webhook.shape import ShapeError
from conduit_dispatcher.answers import Answer, not_called
from conduit_dispatcher.calls import CallBuilder, read
from conduit_dispatcher.sender import Sender

log = logging.getLogger(__name__)

_GONE = "the webhook does not exist any more"
_NO_LINKS = "there is no link, for a simulated mail is not kept"


class AttemptLog(Protocol):
    """Where attempts are written."""

    async def add(self, attempts: Sequence[Attempt]) -> None:
        """Write attempts."""


class Simulator:
    """Answers the requests for simulated calls."""

    def __init__(
        self,
        webhook_of: Callable[[str], Awaitable[Webhook | None]],
        calls: CallBuilder,
        sender: Sender,
        attempts: AttemptLog,
    ) -> None:
        self._webhook_of = webhook_of
        self._calls = calls
        self._sender = sender
        self._attempts = attempts

    async def answer(self, request: Event) -> Event:
        """Make the call and log it; return what became of it."""
        if not isinstance(request, SimulationRequested):
            raise MalformedEvent(f"not a request for a simulation: {request.KIND}")
        webhook = await self._webhook_of(request.webhook_id)
        if webhook is None:
            return SimulationDone(request.webhook_id, None, _GONE, 0)
        mail = simulated_mail(request, webhook, utc_now())
        answer = await self._called(mail, webhook, request.timeout)
        attempt = _attempt(mail, answer)
        await self._attempts.add([attempt])
        _tell(webhook, attempt)
        return SimulationDone(webhook.id, answer.http_status, answer.error, answer.duration_ms)

    async def _called(self, mail: MailAccepted, webhook: Webhook, timeout: float) -> Answer:
        try:
            parsed = await read(mail.raw or b"")
            call = await self._calls.build(parsed, mail, webhook, _NO_LINKS)
        except ShapeError as error:
            return not_called(f"payload_template: {error}")
        return await self._sender.post(webhook.target_url, call.body, call.headers, within=timeout)


def simulated_mail(request: SimulationRequested, webhook: Webhook, now: datetime) -> MailAccepted:
    """Return the event of a mail with this content, as if it had come over this machine's SMTP."""
    delivery_id = new_id(Prefix.DELIVERY)
    header = (
        f"From: <{request.sender}>",
        f"To: <{webhook.address}>",
        f"Subject: {request.subject}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{delivery_id}@conduit.invalid>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    )
    lines = [*header, "", *request.text.splitlines(), ""]
    raw = "\r\n".join(lines).encode()
    return MailAccepted(
        delivery_id=delivery_id,
        message_id=new_id(Prefix.MESSAGE),
        webhook_id=webhook.id,
        envelope=Envelope(request.sender, (webhook.address,), "localhost", "127.0.0.1"),
        received_at=now,
        size=len(raw),
        raw=raw,
    )


def _attempt(mail: MailAccepted, answer: Answer) -> Attempt:
    return Attempt(
        id=new_id(Prefix.LOG),
        delivery_id=mail.delivery_id,
        webhook_id=mail.webhook_id,
        number=mail.attempt,
        smtp_message_id=f"<{mail.delivery_id}@conduit.invalid>",
        sender=mail.envelope.mail_from,
        result=answer.result,
        http_status=answer.http_status,
        error=answer.error,
        duration_ms=answer.duration_ms,
        attempted_at=utc_now(),
        response=answer.response,
        simulated=True,
    )


def _tell(webhook: Webhook, attempt: Attempt) -> None:
    log.info(
        "delivery.simulated",
        extra={
            "webhook_id": webhook.id,
            "account_id": webhook.account_id,
            "log_id": attempt.id,
            "result": attempt.result,
            "http_status": attempt.http_status,
            "error": attempt.error,
            "duration_ms": attempt.duration_ms,
        },
    )
