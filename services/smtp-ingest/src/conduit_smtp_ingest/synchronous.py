"""Mail whose sender waits for the endpoint: what the dispatcher is asked, and what it tells.

The ingest calls no endpoints itself. `sync` is a question: it expires with its deadline, and
without an answer the sender is told to try again. `sync_then_queued` is a queued mail, durable
before anybody waits, whose first attempt the sender hears of if it is quick.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

from conduit.bus.topology import DELIVERIES_SYNC
from conduit.errors import NoAnswer
from conduit.events import (
    DeliveryAnswered,
    DeliveryAsked,
    DeliveryOutcome,
    Event,
    MailAccepted,
)
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import DeliveryMode
from conduit_smtp_ingest.replies import Reply, as_endpoint_says, delivered, for_verdict, queued

WAITED = Counter(
    "conduit_ingest_waited", "Mails whose senders waited for the endpoint.", ["mode", "outcome"]
)

_IN_QUEUE = 0.2
"""Share of the sender's time for which a question may wait for a dispatcher."""

_ON_THE_WAY = 0.04
"""Share of it that is left for recording, and for the answer's way back."""

_ENDPOINTS_WORD = frozenset(
    {DeliveryOutcome.DELIVERED, DeliveryOutcome.TRANSIENT, DeliveryOutcome.PERMANENT}
)

_VERDICTS: dict[DeliveryOutcome, Verdict] = {
    DeliveryOutcome.DELIVERED: Accept(),
    DeliveryOutcome.TRANSIENT: Defer(Reason.ENDPOINT_FAILED),
    DeliveryOutcome.PERMANENT: Reject(Reason.ENDPOINT_REFUSED),
    DeliveryOutcome.OVER_RATE: Defer(Reason.OVER_RATE),
    DeliveryOutcome.QUEUED: Defer(Reason.UNAVAILABLE),
    DeliveryOutcome.UNAVAILABLE: Defer(Reason.UNAVAILABLE),
}


class Asks(Protocol):
    """What is needed of the bus."""

    async def call(
        self, queue: str, request: Event, *, deadline: float, taken_within: float | None = None
    ) -> Event:
        """Return the answer; raise NoAnswer without one, BrokerUnavailable if it was not asked."""

    async def publish(self, queue: str, event: Event, *, wait: float) -> Event | None:
        """Publish durably, or raise BrokerUnavailable; return what is told of it, or None."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What became of a mail, and the reply to its sender.

    `on_record`: the delivery log has it as an attempt, so that a refusal needs no entry of its own.
    """

    verdict: Verdict
    reply: Reply
    on_record: bool


@dataclass(frozen=True, slots=True)
class Times:
    """How long a question may wait to be taken, and the call from then on, in seconds.

    Together they end before the sender's time does, so that no endpoint is called for a sender
    who was told to try again; and nobody compares the clocks of two hosts.
    """

    taken_within: float
    call: float

    @classmethod
    def of(cls, timeout: float) -> "Times":
        """Return them for a sender who waits for `timeout` seconds."""
        return cls(timeout * _IN_QUEUE, timeout * (1 - _IN_QUEUE - _ON_THE_WAY))


class SyncDelivery:
    """Delivers mails while their senders wait, up to these numbers of seconds.

    What is to be delivered in any case goes to the queue that `lane_of` gives for its webhook.
    """

    def __init__(
        self,
        rpc: Asks,
        lane_of: Callable[[str], str],
        *,
        sync_timeout: float,
        queued_timeout: float,
    ) -> None:
        self._rpc = rpc
        self._lane_of = lane_of
        self._sync_timeout = sync_timeout
        self._queued_timeout = queued_timeout

    async def deliver(self, event: MailAccepted, mode: DeliveryMode) -> Conclusion:
        """Return what to tell the sender. A mail too large for the bus comes by reference.

        Raise BrokerUnavailable when it is in doubt whether the broker has it: then 451.
        """
        answered = await (self._asked(event) if mode is DeliveryMode.SYNC else self._queued(event))
        WAITED.labels(mode, answered.outcome if answered else "no_answer").inc()
        return concluded(event.delivery_id, mode, answered)

    async def _asked(self, event: MailAccepted) -> DeliveryAnswered | None:
        times = Times.of(self._sync_timeout)
        request = DeliveryAsked(event, times.call)
        try:
            answer = await self._rpc.call(
                DELIVERIES_SYNC,
                request,
                deadline=self._sync_timeout,
                taken_within=times.taken_within,
            )
        except NoAnswer:
            return None
        return _read(answer, event)

    async def _queued(self, event: MailAccepted) -> DeliveryAnswered | None:
        lane = self._lane_of(event.webhook_id)
        told = await self._rpc.publish(lane, event, wait=self._queued_timeout)
        return _read(told, event)


def concluded(
    delivery_id: str, mode: DeliveryMode, answered: DeliveryAnswered | None
) -> Conclusion:
    """Decide by what the dispatcher told; None: nothing in time."""
    if mode is not DeliveryMode.SYNC and not _final(answered):
        [reply] = queued([delivery_id])
        return Conclusion(Accept(), reply, on_record=True)
    if answered is None:
        verdict: Verdict = Defer(Reason.ENDPOINT_FAILED)
        return Conclusion(verdict, for_verdict(verdict), on_record=False)
    verdict = _VERDICTS[answered.outcome]
    usual = delivered(delivery_id) if isinstance(verdict, Accept) else for_verdict(verdict)
    if answered.outcome not in _ENDPOINTS_WORD:
        return Conclusion(verdict, usual, on_record=False)
    reply = as_endpoint_says(usual, answered.code, answered.message)
    return Conclusion(verdict, reply, on_record=True)


def _final(answered: DeliveryAnswered | None) -> bool:
    """Whether no attempt follows, so that the sender of a durable mail hears of it."""
    return answered is not None and answered.outcome in (
        DeliveryOutcome.DELIVERED,
        DeliveryOutcome.PERMANENT,
    )


def _read(answer: Event | None, event: MailAccepted) -> DeliveryAnswered | None:
    """Return an answer, if it is one to this question."""
    if isinstance(answer, DeliveryAnswered) and answer.delivery_id == event.delivery_id:
        return answer
    return None
