"""The deliver story: from an event of the queue to a recorded attempt and the next step."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from typing import Protocol

from prometheus_client import Counter, Histogram

from conduit.bus.consumer import Again, Dead, Done, Incoming, Outcome
from conduit.errors import MalformedEvent, VersionConflict
from conduit.events import (
    DeliveryAnswered,
    DeliveryOutcome,
    MailAccepted,
    Packet,
    decode,
    encode,
)
from conduit.mail.parse import ParsedMail
from conduit.model.delivery import Attempt, Delivery, DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit.webhook.shape import ShapeError
from conduit_dispatcher.answers import Answer, not_called, told
from conduit_dispatcher.calls import Call, CallBuilder, read
from conduit_dispatcher.overrides import NOTHING_SAID
from conduit_dispatcher.pacing import Pacer, Patience
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


_MISSED = timedelta(seconds=2)
"""Lateness for a slot that is put up with: calls of so long come too many in any minute, 3 %."""

_TOO_LATE = "the time for which the mail's sender waits was over before the call"


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
    patience: Patience
    calls: CallBuilder
    sender: Sender
    recorder: Recorder
    schedule: RetrySchedule

    async def handle(self, incoming: Incoming) -> Outcome:
        """Deliver a mail if it is due, and say what is to be done with its event."""
        event = decode(incoming.packet)
        if not isinstance(event, MailAccepted):
            raise MalformedEvent(f"{event.KIND} does not belong on this queue")
        wait = event.due_in(utc_now()).total_seconds()
        if wait > 0 and not await self.patience.wait(wait):
            return Again(incoming.packet, wait)
        webhook = await self.webhook_of(event.webhook_id)
        if webhook is None:
            log.info("delivery.webhook_deleted", extra=_ids(event))
            gone = DeliveryAnswered(event.delivery_id, DeliveryOutcome.PERMANENT)
            return Done(_word(incoming, gone))
        if (slot := await self._paced(event, webhook, incoming.redelivered)) is not None:
            later = encode(event.postponed(slot, paced=True))
            queued = DeliveryAnswered(event.delivery_id, DeliveryOutcome.QUEUED)
            wait = (slot - utc_now()).total_seconds()
            return Again(later, wait, told=_word(incoming, queued))
        answer, step = await self.attempt(event, webhook, redelivered=incoming.redelivered)
        return _outcome(event, step, _word(incoming, told(event.delivery_id, answer)))

    async def _paced(
        self, event: MailAccepted, webhook: Webhook, redelivered: bool
    ) -> datetime | None:
        """Return the slot to which the event is put off, or None when it may go ahead."""
        now = utc_now()
        if not webhook.active or (event.paced and not _missed(event, now, redelivered)):
            return None
        slot = await self.pacer.slot(webhook, now)
        wait = (slot - now).total_seconds()
        if wait <= 0 or await self.patience.wait(wait):
            return None
        await self._record_paced(event, webhook, slot)
        return slot

    async def _record_paced(self, event: MailAccepted, webhook: Webhook, slot: datetime) -> None:
        """Have it seen that the mail is there, although its turn may be hours away."""
        mail = await self._mail(event, needed=slot)
        delivery = _delivery(event, webhook, mail, DeliveryState.PENDING, slot)
        made_before = delivery.model_copy(update={"attempts": event.attempt - 1})
        await self.recorder.record(made_before, message=_to_keep(event))

    async def attempt(
        self,
        event: MailAccepted,
        webhook: Webhook,
        *,
        redelivered: bool,
        until: float | None = None,
    ) -> tuple[Answer, NextStep]:
        """Make the attempt, unless it was made and recorded before a crash, and record it.

        The call ends at `until`, in the loop's time, and is not begun later.
        """
        mail = await self._mail(event, needed=utc_now() + self.schedule.longest_wait)
        made = await self._made_before(event) if redelivered else None
        answer = _answer_of(made) if made else await self._called(event, webhook, mail, until)
        step = self._step(event, answer)
        attempt = made or _attempt(event, mail, answer)
        # What was made is recorded again too: the crash may have come between two of the writes.
        delivery = _delivery(event, webhook, mail, step.state, _next_at(step))
        await self.recorder.record(delivery, attempt, _to_keep(event))
        if made is None:
            _tell(attempt, delivery)
        if isinstance(step, GiveUp) and step.switch_off:
            await self._switch_off(webhook)
        return answer, step

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
        self, event: MailAccepted, webhook: Webhook, mail: ParsedMail | None, until: float | None
    ) -> Answer:
        if not webhook.active:
            return not_called("the webhook is switched off")
        if mail is None:
            return not_called("the mail is not kept any more")
        try:
            async with asyncio.timeout_at(until):
                call = await self.calls.build(mail, event, webhook)
        except ShapeError as error:
            return not_called(f"payload_template: {error}")
        except TimeoutError:
            return not_called(_TOO_LATE, Result.TRANSIENT)
        if (left := _left(until)) <= 0:
            return not_called(_TOO_LATE, Result.TRANSIENT)
        return await self._posted(event, webhook, call, left)

    async def _posted(
        self, event: MailAccepted, webhook: Webhook, call: Call, within: float
    ) -> Answer:
        answer = await self.sender.post(webhook.target_url, call.body, call.headers, within=within)
        CALL_TIME.observe(answer.duration_ms / 1000)
        if event.attempt == 1:
            AGE.observe((utc_now() - event.received_at).total_seconds())
        if webhook.delivery_mode is DeliveryMode.QUEUED:
            return replace(answer, smtp=NOTHING_SAID)
        return answer.as_it_says()

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


def _missed(event: MailAccepted, now: datetime, redelivered: bool) -> bool:
    """Whether a paced event is so late for its slot that it needs another one.

    After a standstill all whose slots have passed meanwhile would be called at once. It loses a
    slot once, lest it never be called where everything is late; and not when it is given out again,
    for then its attempt may have been made.
    """
    return not event.repaced and not redelivered and event.late_by(now) > _MISSED


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
        tag=event.envelope.tag,
        shared=event.shared,
        authentication=event.authentication,
    )


def _left(until: float | None) -> float:
    """Return the seconds until a moment of the loop's time."""
    return inf if until is None else until - asyncio.get_running_loop().time()


def _word(incoming: Incoming, answered: DeliveryAnswered) -> Packet | None:
    """Return what is told of a mail to who awaits it, if anybody does."""
    return encode(answered) if incoming.waited_for else None


def _outcome(event: MailAccepted, step: NextStep, word: Packet | None) -> Outcome:
    match step:
        case Finished():
            return Done(word)
        case Retry(at):
            wait = (at - utc_now()).total_seconds()
            return Again(encode(event.next_attempt(at)), wait, told=word)
        case GiveUp():
            return Dead(encode(event), word)
