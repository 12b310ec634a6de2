"""The deliver story: from an event of the queue to a recorded attempt and the next step."""

import logging
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prometheus_client import Counter, Histogram

from conduit.bus.consumer import Again, Dead, Done, Incoming, Outcome
from conduit.errors import MalformedEvent, VersionConflict
from conduit.events import MailAccepted, decode, encode
from conduit.mail.parse import ParsedMail
from conduit.model.delivery import Attempt, Delivery, DeliveryState
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit.webhook.shape import ShapeError
from conduit_dispatcher.answers import Answer, not_called
from conduit_dispatcher.calls import CallBuilder, read
from conduit_dispatcher.pacing import Pacer
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.retry import Finished, GiveUp, NextStep, Retry, RetrySchedule, next_step
from conduit_dispatcher.sender import Sender

log = logging.getLogger(__name__)

ATTEMPTS = Counter("conduit_dispatcher_attempts", "Webhook calls, by their result.", ["result"])
CALL_TIME = Histogram(
    "conduit_dispatcher_call_seconds", "Duration of webhook calls.", buckets=LATENCY_BUCKETS
)
AGE = Histogram(
    "conduit_dispatcher_age_seconds",
    "From the receipt of a mail to the end of its first call.",
    buckets=LATENCY_BUCKETS,
)


class Webhooks(Protocol):
    """What the dispatcher needs of the collection of webhooks."""

    async def of_id(self, webhook_id: str) -> Webhook | None:
        """Return a webhook."""

    async def replace(self, record: Webhook) -> Webhook:
        """Write a changed webhook, or raise VersionConflict."""


class Messages(Protocol):
    """What the dispatcher needs of the kept mails, for those that travel by reference."""

    async def get(self, message_id: str) -> bytes | None:
        """Return a mail, or None when it is not kept any more."""

    async def hold(self, message_ids: Collection[str], until: datetime) -> set[str]:
        """Keep mails that are needed at this moment; return those that are kept."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Handles the events of the queue; each method is a step of the story."""

    webhook_of: Callable[[str], Awaitable[Webhook | None]]
    webhooks: Webhooks
    messages: Messages
    pacer: Pacer
    calls: CallBuilder
    sender: Sender
    recorder: Recorder
    schedule: RetrySchedule

    async def handle(self, incoming: Incoming) -> Outcome:
        """Deliver a mail if it is due, and say what is to be done with its event."""
        event = decode(incoming.packet)
        if not isinstance(event, MailAccepted):
            raise MalformedEvent(f"{event.KIND} does not belong on this queue")
        if (wait := event.due_in(utc_now()).total_seconds()) > 0:
            return Again(incoming.packet, wait)
        webhook = await self.webhook_of(event.webhook_id)
        if webhook is None:
            log.info("delivery.webhook_deleted", extra=_ids(event))
            return Done()
        if (paced := await self._paced(event, webhook)) is not None:
            return paced
        return await self._attempted(event, webhook, redelivered=incoming.redelivered)

    async def _paced(self, event: MailAccepted, webhook: Webhook) -> Outcome | None:
        """Put the event off to its slot, or return None when it may go ahead."""
        if event.paced or not webhook.active:
            return None
        now = utc_now()
        slot = await self.pacer.slot(webhook, now)
        if slot <= now:
            return None
        await self._record_paced(event, webhook, slot)
        return Again(encode(event.postponed(slot, paced=True)), (slot - now).total_seconds())

    async def _record_paced(self, event: MailAccepted, webhook: Webhook, slot: datetime) -> None:
        """Have it seen that the mail is there, although its turn may be hours away."""
        mail = await self._mail(event, needed=slot)
        delivery = _delivery(event, webhook, mail, DeliveryState.PENDING, slot)
        made_before = delivery.model_copy(update={"attempts": event.attempt - 1})
        await self.recorder.record(made_before, message=_to_keep(event))

    async def _attempted(
        self, event: MailAccepted, webhook: Webhook, *, redelivered: bool
    ) -> Outcome:
        """Make the attempt, unless it was made and recorded before a crash; then the next step."""
        mail = await self._mail(event, needed=utc_now() + self.schedule.longest_wait)
        made = await self._made_before(event) if redelivered else None
        answer = _answer_of(made) if made else await self._called(event, webhook, mail)
        step = self._step(event, answer)
        attempt = made or _attempt(event, mail, answer)
        # What was made is recorded again too: the crash may have come between two of the writes.
        delivery = _delivery(event, webhook, mail, step.state, _next_at(step))
        await self.recorder.record(delivery, attempt, _to_keep(event))
        if made is None:
            _tell(attempt, delivery)
        if isinstance(step, GiveUp) and step.switch_off:
            await self._switch_off(webhook)
        return _outcome(event, step)

    async def _mail(self, event: MailAccepted, *, needed: datetime) -> ParsedMail | None:
        """Return the mail; one that travels by reference is `needed` up to this moment again."""
        raw = event.raw
        if raw is None:
            await self.messages.hold([event.message_id], needed)
            raw = await self.messages.get(event.message_id)
        return None if raw is None else await read(raw)

    async def _made_before(self, event: MailAccepted) -> Attempt | None:
        return await self.recorder.recorded(event.delivery_id, event.attempt)

    async def _called(
        self, event: MailAccepted, webhook: Webhook, mail: ParsedMail | None
    ) -> Answer:
        if not webhook.active:
            return not_called("the webhook is switched off")
        if mail is None:
            return not_called("the mail is not kept any more")
        try:
            call = await self.calls.build(mail, event, webhook)
        except ShapeError as error:
            return not_called(f"payload_template: {error}")
        answer = await self.sender.post(webhook.target_url, call.body, call.headers)
        CALL_TIME.observe(answer.duration_ms / 1000)
        if event.attempt == 1:
            AGE.observe((utc_now() - event.received_at).total_seconds())
        return answer

    def _step(self, event: MailAccepted, answer: Answer) -> NextStep:
        return next_step(
            answer.result,
            event.attempt,
            self.schedule,
            now=utc_now(),
            chance=random.random(),  # noqa: S311 (spreads retries, hides nothing)
            retry_after=answer.retry_after,
        )

    async def _switch_off(self, webhook: Webhook) -> None:
        """Switch a webhook off whose endpoint is gone; its owner may be changing it meanwhile."""
        current: Webhook | None = webhook
        while current is not None and current.active:
            try:
                await self.webhooks.replace(current.model_copy(update={"active": False}))
            except VersionConflict:
                current = await self.webhooks.of_id(webhook.id)
            else:
                log.warning("webhook.switched_off", extra={"webhook_id": webhook.id})
                return


def _tell(attempt: Attempt, delivery: Delivery) -> None:
    ATTEMPTS.labels(attempt.result).inc()
    log.info(
        "delivery.attempted",
        extra={
            "delivery_id": delivery.id,
            "message_id": delivery.message_id,
            "webhook_id": delivery.webhook_id,
            "account_id": delivery.account_id,
            "replay_of": delivery.replay_of,
            "log_id": attempt.id,
            "attempt": attempt.number,
            "result": attempt.result,
            "http_status": attempt.http_status,
            "error": attempt.error,
            "duration_ms": attempt.duration_ms,
            "next_attempt_at": delivery.next_attempt_at,
        },
    )


def _to_keep(event: MailAccepted) -> Message | None:
    """Return the mail to be kept with its first record; what travels by reference is kept."""
    if event.raw is None or event.attempt > 1 or event.paced:
        return None
    return Message(event.message_id, event.received_at, event.raw)


def _next_at(step: NextStep) -> datetime | None:
    return step.at if isinstance(step, Retry) else None


def _ids(event: MailAccepted) -> dict[str, str]:
    return {
        "delivery_id": event.delivery_id,
        "message_id": event.message_id,
        "webhook_id": event.webhook_id,
    }


def _answer_of(attempt: Attempt) -> Answer:
    return Answer(attempt.result, attempt.http_status, attempt.error, attempt.duration_ms)


def _attempt(event: MailAccepted, mail: ParsedMail | None, answer: Answer) -> Attempt:
    return Attempt(
        id=new_id(Prefix.LOG),
        delivery_id=event.delivery_id,
        webhook_id=event.webhook_id,
        number=event.attempt,
        smtp_message_id=mail.message_id if mail else None,
        sender=event.envelope.mail_from,
        result=answer.result,
        http_status=answer.http_status,
        error=answer.error,
        duration_ms=answer.duration_ms,
        attempted_at=utc_now(),
        response=answer.response,
        replay_of=event.replay_of,
    )


def _delivery(
    event: MailAccepted,
    webhook: Webhook,
    mail: ParsedMail | None,
    state: DeliveryState,
    next_attempt_at: datetime | None,
) -> Delivery:
    return Delivery(
        id=event.delivery_id,
        webhook_id=webhook.id,
        account_id=webhook.account_id,
        message_id=event.message_id,
        smtp_message_id=mail.message_id if mail else None,
        sender=event.envelope.mail_from,
        recipients=event.envelope.recipients,
        subject=mail.subject if mail else None,
        size=event.size,
        state=state,
        attempts=event.attempt,
        next_attempt_at=next_attempt_at,
        received_at=event.received_at,
        updated_at=utc_now(),
        replay_of=event.replay_of,
        helo=event.envelope.helo,
        remote_ip=event.envelope.remote_ip,
        tls=event.envelope.tls,
        authenticated_as=event.envelope.authenticated_as,
        shared=event.shared,
    )


def _outcome(event: MailAccepted, step: NextStep) -> Outcome:
    match step:
        case Finished():
            return Done()
        case Retry(at):
            wait = (at - utc_now()).total_seconds()
            return Again(encode(event.next_attempt(at)), wait)
        case GiveUp():
            return Dead(encode(event))
