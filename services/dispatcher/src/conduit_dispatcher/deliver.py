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
from conduit.bus.topology import rough_delay
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
from conduit.model.ids import Prefix, made_at, new_id
from conduit.model.message import Message
from conduit.model.notice import Notice, gone_notice
from conduit.model.payload_options import AttachmentMode
from conduit.model.record import utc_now
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit.webhook.attachments import Links
from conduit.webhook.payload import NO_LINKS
from conduit.webhook.shape import ShapeError
from conduit_dispatcher.answers import Answer, not_called, told
from conduit_dispatcher.calls import Call, CallBuilder, read
from conduit_dispatcher.door import Door, Entry, PutOff, Why
from conduit_dispatcher.links import LinkMaker
from conduit_dispatcher.overrides import NOTHING_SAID
from conduit_dispatcher.pacing import Patience
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
PUT_OFF = Counter(
    "conduit_dispatcher_put_off",
    "Mails that had to wait: for an endpoint that fails or is busy, a rate, a paused webhook.",
    ["why"],
)

_BRIEF = 60.0
"""Seconds of a wait that is not written down, unless it is the first for an endpoint that fails."""

_WAITED_IN_VAIN = not_called("the endpoint has failed for as long as mail waits for it")
_NOT_KEPT = not_called("the mail is not kept any more")
_COUNTED = {result: ATTEMPTS.labels(result) for result in Result}

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

    async def put_until(self, message: Message, until: datetime) -> None:
        """Keep a mail that is needed up to this moment, whatever the retention."""


class Deliveries(Protocol):
    """What the dispatcher needs of the deliveries, for mail that waits, beside its records."""

    async def postpone(self, delivery_id: str, attempts: int, until: datetime) -> bool:
        """Write when the next attempt will be; return False when that is on no record."""


class Holdings(Protocol):
    """Where it is noted which webhooks have mail that waits in the store."""

    async def note(self, webhook_id: str, now: datetime) -> None:
        """Write that mail of a webhook is held, after the mail itself was."""


class Notices(Protocol):
    """Where it is left that a webhook's owner is to be told something."""

    async def add(self, notice: Notice) -> None:
        """Add a notice, unless it is there."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Handles the events of the queue; each method is a step of the story."""

    webhook_of: Callable[[str], Awaitable[Webhook | None]]
    webhooks: Webhooks
    notices: Notices
    messages: Messages
    patience: Patience
    deliveries: Deliveries
    holdings: Holdings
    door: Door
    calls: CallBuilder
    links: LinkMaker
    sender: Sender
    recorder: Recorder
    schedule: RetrySchedule
    longest_wait: timedelta

    async def handle(self, incoming: Incoming) -> Outcome:
        """Deliver a mail if it is due, and say what is to be done with its event."""
        event = decode(incoming.packet)
        if not isinstance(event, MailAccepted):
            raise MalformedEvent(f"{event.KIND} does not belong on this queue")
        if event.not_before and not event.parked:
            wait = event.due_in(utc_now()).total_seconds()
            if wait > 0 and not await self.patience.wait(wait):
                return Again(incoming.packet, wait)
        webhook = await self.webhook_of(event.webhook_id)
        if webhook is None:
            log.info("delivery.webhook_deleted", extra=_ids(event))
            gone = DeliveryAnswered(event.delivery_id, DeliveryOutcome.PERMANENT)
            return Done(_word(incoming, gone))
        if webhook.paused_at is not None:
            return await self._paused(incoming, event, webhook)
        if not webhook.active:
            return await self._attempted(incoming, event, webhook)
        admitted = await self._admitted(event, webhook, redelivered=incoming.redelivered)
        if isinstance(admitted, PutOff):
            return await self._put_off(incoming, event, webhook, admitted)
        try:
            return await self._attempted(incoming, event, webhook, admitted)
        finally:
            admitted.leave()

    async def _admitted(
        self, event: MailAccepted, webhook: Webhook, *, redelivered: bool
    ) -> Entry | PutOff:
        """Let a mail in or put it off; the last moments before its slot it waits for here."""
        admitted = await self.door.admit(event, webhook, redelivered=redelivered)
        if not isinstance(admitted, PutOff) or admitted.why is not Why.PACED:
            return admitted
        if not await self.patience.wait((admitted.until - utc_now()).total_seconds()):
            return admitted
        paced = event.postponed(admitted.until, paced=True)
        return await self.door.admit(paced, webhook, redelivered=redelivered)

    async def _attempted(
        self,
        incoming: Incoming,
        event: MailAccepted,
        webhook: Webhook,
        entry: Entry | None = None,
        instead: Answer | None = None,
    ) -> Outcome:
        answer, step = await self.attempt(
            event, webhook, redelivered=incoming.redelivered, entry=entry, instead=instead
        )
        return _outcome(event, step, _word(incoming, told(event.delivery_id, answer)))

    async def _paused(self, incoming: Incoming, event: MailAccepted, webhook: Webhook) -> Outcome:
        """Keep a mail in the store until its webhook is resumed.

        One whose attempt is on record goes on from there: its record would win over being held.
        """
        if await self._made_before(event):
            again = replace(incoming, redelivered=True)
            return await self._attempted(again, event, webhook)
        now = utc_now()
        mail = await self._secured(event, now + self.longest_wait)
        if mail is None:
            return await self._attempted(incoming, event, webhook, instead=_NOT_KEPT)
        await self._record_waiting(event, webhook, mail, held_at=now)
        await self.holdings.note(webhook.id, now)
        PUT_OFF.labels("paused").inc()
        queued = DeliveryAnswered(event.delivery_id, DeliveryOutcome.QUEUED)
        return Done(_word(incoming, queued))

    async def _secured(self, event: MailAccepted, until: datetime) -> ParsedMail | None:
        """Have the store keep a mail, which is on no queue then; None: it is not kept any more."""
        if event.raw is not None:
            message = Message(event.message_id, event.received_at, event.raw)
            await self.messages.put_until(message, until)
        return await self._mail(event, needed=until)

    async def _put_off(
        self, incoming: Incoming, event: MailAccepted, webhook: Webhook, put_off: PutOff
    ) -> Outcome:
        """Have a mail wait on a delay queue, and have that seen, for its turn may be hours away."""
        now, until = utc_now(), put_off.until
        wait = (until - now).total_seconds()
        if until == event.not_before:
            return Again(incoming.packet, rough_delay(wait))
        if put_off.why is Why.FAILING and now - made_at(event.delivery_id) > self.longest_wait:
            return await self._attempted(incoming, event, webhook, instead=_WAITED_IN_VAIN)
        PUT_OFF.labels(put_off.why).inc()
        paced, failing = put_off.why is Why.PACED, put_off.why is Why.FAILING
        known, matters = event.on_record, wait >= _BRIEF
        if paced or (not known and (failing or matters)):
            await self._record_pending(event, webhook, until)
            known = True
        elif failing and matters:
            await self._record_postponed(event, webhook, until)
        later = encode(event.postponed(until, paced=paced, parked=not paced, recorded=known))
        queued = DeliveryAnswered(event.delivery_id, DeliveryOutcome.QUEUED)
        return Again(later, wait if paced else rough_delay(wait), told=_word(incoming, queued))

    async def _record_pending(self, event: MailAccepted, webhook: Webhook, at: datetime) -> None:
        mail = await self._mail(event, needed=at)
        await self._record_waiting(event, webhook, mail, next_attempt_at=at)

    async def _record_postponed(self, event: MailAccepted, webhook: Webhook, at: datetime) -> None:
        """Write the turn of a mail that is on record, in place of the whole record."""
        if event.raw is None:
            await self.messages.hold([event.message_id], at)
        if not await self.deliveries.postpone(event.delivery_id, event.attempt - 1, at):
            await self._record_pending(event, webhook, at)

    async def _record_waiting(
        self,
        event: MailAccepted,
        webhook: Webhook,
        mail: ParsedMail | None,
        *,
        next_attempt_at: datetime | None = None,
        held_at: datetime | None = None,
    ) -> None:
        delivery = _delivery(event, webhook, mail, DeliveryState.PENDING, next_attempt_at)
        waiting = delivery.model_copy(update={"attempts": event.attempt - 1, "held_at": held_at})
        await self.recorder.record(waiting, message=_to_keep(event) if held_at is None else None)

    async def attempt(
        self,
        event: MailAccepted,
        webhook: Webhook,
        *,
        redelivered: bool,
        entry: Entry | None = None,
        until: float | None = None,
        instead: Answer | None = None,
    ) -> tuple[Answer, NextStep]:
        """Make the attempt, unless it was made and recorded before a crash, and record it.

        The call ends at `until`, in the loop's time, and is not begun later. There is none if there
        is an answer `instead`.
        """
        mail = await self._mail(event)
        made = await self._made_before(event) if redelivered else None
        known = _answer_of(made) if made else instead
        links = NO_LINKS if known else await self._links(event, webhook, mail, until)
        answer = known or await self._called(event, webhook, mail, links, until)
        if entry is not None:
            await self.door.endpoints.note(webhook.id, answer, entry.permit)
            entry.leave()  # not before: the next mail is to know of a failure
        answer = _as_told(answer, webhook)
        step = self._step(event, answer)
        attempt = made or _attempt(event, mail, answer)
        # What was made is recorded again too: the crash may have come between two of the writes.
        delivery = _delivery(event, webhook, mail, step.state, _next_at(step))
        kept = isinstance(links, Links)
        await self.recorder.record(delivery, attempt, None if kept else _to_keep(event))
        if made is None:
            _tell(attempt, delivery)
        if isinstance(step, GiveUp) and step.switch_off:
            await self._switch_off(webhook)
        return answer, step

    async def _mail(
        self, event: MailAccepted, *, needed: datetime | None = None
    ) -> ParsedMail | None:
        """Return the mail; one that travels by reference is `needed` again, up to this moment.

        By default, up to the next attempt, whenever that is.
        """
        raw = event.raw
        if raw is None:
            needed = needed or utc_now() + self.schedule.longest_wait
            await self.messages.hold([event.message_id], needed)
            raw = await self.messages.get(event.message_id)
        return None if raw is None else await read(raw)

    async def _made_before(self, event: MailAccepted) -> Attempt | None:
        return await self.recorder.recorded(event.delivery_id, event.attempt)

    async def _links(
        self, event: MailAccepted, webhook: Webhook, mail: ParsedMail | None, until: float | None
    ) -> Links | str:
        """Return links to the mail's attachments where the call is to have them."""
        wanted = webhook.active and webhook.payload.attachments is AttachmentMode.LINKS
        if not wanted or mail is None or not mail.attachments:
            return NO_LINKS
        try:
            async with asyncio.timeout_at(until):
                return await self.links.links_to(event, utc_now())
        except TimeoutError:
            return _TOO_LATE  # there will be no call

    async def _called(
        self,
        event: MailAccepted,
        webhook: Webhook,
        mail: ParsedMail | None,
        links: Links | str,
        until: float | None,
    ) -> Answer:
        if not webhook.active:
            return not_called("the webhook is switched off")
        if mail is None:
            return _NOT_KEPT
        try:
            async with asyncio.timeout_at(until):
                call = await self.calls.build(mail, event, webhook, links)
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
        """Switch a webhook off whose endpoint is gone; its owner may be changing it meanwhile.

        That its owner is told is written first: a crash would leave it off without a word. Of a
        webhook that is not off in the end, nobody is told.
        """
        current: Webhook | None = webhook
        while current is not None and current.active:
            await self.notices.add(gone_notice(current, utc_now()))
            try:
                await self.webhooks.replace(current.model_copy(update={"active": False}))
            except VersionConflict:
                current = await self.webhooks.of_id(webhook.id)
            else:
                log.warning("webhook.switched_off", extra={"webhook_id": webhook.id})
                return


def _tell(attempt: Attempt, delivery: Delivery) -> None:
    _COUNTED[attempt.result].inc()
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
    if event.raw is None or event.on_record:
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
    made = Answer(attempt.result, attempt.http_status, attempt.error, attempt.duration_ms)
    return replace(made, called=False)


def _as_told(answer: Answer, webhook: Webhook) -> Answer:
    """Return an answer by the endpoint's word on what the sender is told, if one waits for it."""
    if webhook.delivery_mode is DeliveryMode.QUEUED:
        return replace(answer, smtp=NOTHING_SAID)
    return answer.as_it_says()


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
