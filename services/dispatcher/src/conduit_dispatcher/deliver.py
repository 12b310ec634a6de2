"""The deliver story: from an event of the queue to a recorded attempt and the next step."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Protocol, TypeVar

from prometheus_client import Histogram

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
from conduit.model.delivery import Attempt, Result
from conduit.model.notice import Notice, gone_notice
from conduit.model.payload_options import AttachmentMode
from conduit.model.record import utc_now
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit.webhook.attachments import Links
from conduit.webhook.payload import NO_LINKS
from conduit.webhook.shape import ShapeError
from conduit_dispatcher.answers import Answer, not_called, told
from conduit_dispatcher.calls import CallBuilder
from conduit_dispatcher.door import Door, Entry, PutOff, Why
from conduit_dispatcher.lanes import Lane
from conduit_dispatcher.links import LinkMaker
from conduit_dispatcher.mails import Mails
from conduit_dispatcher.overrides import NOTHING_SAID
from conduit_dispatcher.pacing import Patience
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.records import attempt_of, delivery_of, mail_to_keep, tell
from conduit_dispatcher.retry import Finished, GiveUp, NextStep, Retry, RetrySchedule, next_step
from conduit_dispatcher.sender import Sender
from conduit_dispatcher.waiting import WaitingRoom

T = TypeVar("T")

log = logging.getLogger(__name__)

CALL_TIME = Histogram(
    "conduit_dispatcher_call_seconds", "Duration of webhook calls.", buckets=LATENCY_BUCKETS
)
AGE = Histogram(
    "conduit_dispatcher_age_seconds",
    "From the receipt of a mail to the end of its first call.",
    buckets=LATENCY_BUCKETS,
)
_WAITED_IN_VAIN = not_called("the endpoint has failed for as long as mail waits for it")
_NOT_KEPT = not_called("the mail is not kept any more")
_TOO_LATE = "the time for which the mail's sender waits was over before the call"


class Webhooks(Protocol):
    """What the dispatcher needs of the collection of webhooks."""

    async def of_id(self, webhook_id: str) -> Webhook | None:
        """Return a webhook."""

    async def replace(self, record: Webhook) -> Webhook:
        """Write a changed webhook, or raise VersionConflict."""


class Notices(Protocol):
    """Where it is left that a webhook's owner is to be told something."""

    async def add(self, notice: Notice) -> None:
        """Add a notice, unless it is there."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Handles the events of a lane; each method is a step of the story."""

    lane: Lane
    webhook_of: Callable[[str], Awaitable[Webhook | None]]
    webhooks: Webhooks
    notices: Notices
    mails: Mails
    waiting: WaitingRoom
    patience: Patience
    door: Door
    calls: CallBuilder
    links: LinkMaker
    sender: Sender
    recorder: Recorder
    schedule: RetrySchedule

    async def handle(self, incoming: Incoming) -> Outcome:
        """Deliver a mail if it is due, and say what is to be done with its event."""
        event = decode(incoming.packet)
        if not isinstance(event, MailAccepted):
            raise MalformedEvent(f"{event.KIND} does not belong on this queue")
        if event.not_before and not event.parked:
            wait = event.due_in(utc_now()).total_seconds()
            if wait > 0 and not await self.patience.wait(wait):
                early = self.lane.later(incoming.packet, wait, paced=event.paced)
                return _as_it_came(incoming, early)
        webhook = await self.webhook_of(event.webhook_id)
        if webhook is None:
            log.info("delivery.webhook_deleted", extra=_ids(event))
            return Done(_word(incoming, event, DeliveryOutcome.PERMANENT))
        if webhook.paused_at is not None:
            return await self._paused(incoming, event, webhook)
        if not webhook.active or (incoming.redelivered and await self._made_before(event)):
            return await self._attempted(incoming, event, webhook)
        admitted = await self._admitted(event, webhook)
        if isinstance(admitted, PutOff):
            return await self._put_off(incoming, event, webhook, admitted)
        try:
            return await self._attempted(incoming, event, webhook, admitted)
        finally:
            admitted.leave()

    async def _admitted(self, event: MailAccepted, webhook: Webhook) -> Entry | PutOff:
        """Let a mail in or put it off; the last moments before its slot it waits for here."""
        admitted = await self.door.admit(event, webhook)
        if not isinstance(admitted, PutOff) or admitted.why is not Why.PACED:
            return admitted
        if not await self.patience.wait((admitted.until - utc_now()).total_seconds()):
            return admitted
        paced = event.postponed(admitted.until, paced=True)
        return await self.door.admit(paced, webhook)

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
        word = encode(told(event.delivery_id, answer)) if incoming.waited_for else None
        return _outcome(event, step, word, self.lane)

    async def _paused(self, incoming: Incoming, event: MailAccepted, webhook: Webhook) -> Outcome:
        """Have a mail wait until its webhook is resumed.

        One whose attempt is on record goes on from there: its record would win over being held.
        """
        if await self._made_before(event):
            again = replace(incoming, redelivered=True)
            return await self._attempted(again, event, webhook)
        await incoming.may_give_way()
        if not await self.waiting.hold(event, webhook):
            return await self._attempted(incoming, event, webhook, instead=_NOT_KEPT)
        return Done(_word(incoming, event, DeliveryOutcome.QUEUED))

    async def _put_off(
        self, incoming: Incoming, event: MailAccepted, webhook: Webhook, put_off: PutOff
    ) -> Outcome:
        if self.waiting.in_vain(event, put_off):
            return await self._attempted(incoming, event, webhook, instead=_WAITED_IN_VAIN)
        if not put_off.is_brief(utc_now()):
            await incoming.may_give_way()
        word = _word(incoming, event, DeliveryOutcome.QUEUED)
        later = await self.waiting.put_off(incoming, event, webhook, put_off, word)
        return _as_it_came(incoming, later)

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
        await _with_others()
        mail = await self.mails.read(event)
        made = await self._made_before(event) if redelivered else None
        answer = _answer_of(made) if made else instead
        links: Links | str = NO_LINKS
        if answer is None:
            links = await self._links(event, webhook, mail, until)
            answer = await self._called(event, webhook, mail, links, until)
        now = utc_now()
        if answer.called and event.attempt == 1:
            AGE.observe((now - event.received_at).total_seconds())
        if entry is not None:
            await self.door.endpoints.note(webhook.id, answer, entry.permit)
            entry.leave()  # not before: the next mail is to know of a failure
        answer = _as_told(answer, webhook)
        step = self._step(event, answer, now)
        attempt = made or attempt_of(event, mail, answer, now)
        # What was made is recorded again too: the crash may have come between two of the writes.
        delivery = delivery_of(event, webhook, mail, step.state, _next_at(step), now)
        kept = isinstance(links, Links)
        await self.recorder.record(delivery, attempt, None if kept else mail_to_keep(event))
        if made is None:
            tell(attempt, delivery)
        if isinstance(step, GiveUp) and step.switch_off:
            await self._switch_off(webhook)
        return answer, step

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
            return await _by(until, self.links.links_to(event, utc_now()))
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
            call = await _by(until, self.calls.build(mail, event, webhook, links))
        except ShapeError as error:
            return not_called(f"payload_template: {error}")
        except TimeoutError:
            return not_called(_TOO_LATE, Result.TRANSIENT)
        await _with_others()
        if (left := _left(until)) <= 0:
            return not_called(_TOO_LATE, Result.TRANSIENT)
        answer = await self.sender.post(webhook.target_url, call.body, call.headers, within=left)
        CALL_TIME.observe(answer.duration_ms / 1000)
        return answer

    def _step(self, event: MailAccepted, answer: Answer, now: datetime) -> NextStep:
        return next_step(
            answer.result,
            event.attempt,
            self.schedule,
            now=now,
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


def _as_it_came(incoming: Incoming, later: Again) -> Again:
    """Return what has the same attempt come back; it stays one that somebody may have begun on."""
    return replace(later, begun=True) if incoming.redelivered else later


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
    if answer.smtp is NOTHING_SAID:
        return answer
    if webhook.delivery_mode is DeliveryMode.QUEUED:
        return replace(answer, smtp=NOTHING_SAID)
    return answer.as_it_says()


async def _with_others() -> None:
    """Let all mail that is ready come as far as this, so that what follows is done for all in turn.

    One step for many finds its code in the processor's caches, where all steps for one do not.
    """
    await asyncio.sleep(0)


async def _by(until: float | None, work: Awaitable[T]) -> T:
    """Await `work` up to a moment of the loop's time, if there is one."""
    if until is None:
        return await work
    async with asyncio.timeout_at(until):
        return await work


def _left(until: float | None) -> float:
    """Return the seconds until a moment of the loop's time."""
    return inf if until is None else until - asyncio.get_running_loop().time()


def _word(incoming: Incoming, event: MailAccepted, outcome: DeliveryOutcome) -> Packet | None:
    """Return what is told of a mail that is not called to who awaits it, if anybody does."""
    if not incoming.waited_for:
        return None
    return encode(DeliveryAnswered(event.delivery_id, outcome))


def _outcome(event: MailAccepted, step: NextStep, word: Packet | None, lane: Lane) -> Outcome:
    match step:
        case Finished():
            return Done(word)
        case Retry(at):
            wait = (at - utc_now()).total_seconds()
            return lane.later(encode(event.next_attempt(at)), wait, told=word)
        case GiveUp():
            return Dead(encode(event), word)
