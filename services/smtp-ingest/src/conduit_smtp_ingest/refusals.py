"""Recording refusals of mail for known addresses, without any reply that waits for the store.

A sender may be refused as fast as it can ask. So a webhook gets a bounded number of entries within
a minute, and one more at its end, which tells of the last one beyond them and counts the others.
While the store is away, what does not fit into the buffer is counted in the same way. Only where
even the counts of all webhooks are too many are some lost, which is counted and logged.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn, Protocol

from prometheus_client import Counter

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Refusal
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.verdict import Reason
from conduit_smtp_ingest.replies import Reply

log = logging.getLogger(__name__)

RECORDED = Counter(
    "conduit_ingest_refusals_recorded", "Refusals in delivery logs, counted ones too."
)
LOST = Counter("conduit_ingest_refusals_lost", "Refusals that are in no delivery log.")

_MINUTE = timedelta(minutes=1)
_LARGEST_BATCH = 500
_PAUSE = 1.0  # seconds between tries while the store is away, and between looks for minutes' ends

_BUFFER = 2_000  # entries that wait for the store
_WEBHOOKS = 5_000  # whose minutes are counted at a time

_LONGEST_HELO = 255
_LONGEST_ADDRESS = 254
_LONGEST_MESSAGE_ID = 998
_LONGEST_REPLY = 510  # RFC 5321 §4.5.3.1.5, without the line's end
_MOST_RECIPIENTS = 10


class RefusalLog(Protocol):
    """Where refusals are written."""

    async def add(self, entries: Sequence[Refusal]) -> None:
        """Write refusals, passing over those that are there."""


@dataclass(slots=True)
class _Minute:
    """What was refused for one webhook; `last` is the last one beyond its share of entries."""

    began: datetime
    recorded: int = 0
    beyond: int = 0
    last: Refusal | None = None


class Refusals:
    """Takes note of refusals, and writes them in batches."""

    def __init__(
        self, logs: RefusalLog, *, per_minute: int, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._logs = logs
        self._per_minute = per_minute
        self._clock = clock
        self._waiting: list[Refusal] = []
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()
        self._work = asyncio.Event()
        self._lost = 0

    def note(
        self,
        webhook_id: str,
        reason: Reason,
        reply: Reply,
        envelope: Envelope,
        smtp_message_id: str | None = None,
    ) -> None:
        """Take note of a refusal; it is written when there is time.

        The envelope's recipients are those that lead to the webhook.
        """
        now = self._clock()
        self._end_minutes(now)
        refusal = Refusal(
            id=new_id(Prefix.LOG),
            webhook_id=webhook_id,
            reason=reason.value,
            smtp_reply=_printable(str(reply), _LONGEST_REPLY),
            smtp_message_id=smtp_message_id and _printable(smtp_message_id, _LONGEST_MESSAGE_ID),
            sender=_printable(envelope.mail_from, _LONGEST_ADDRESS),
            recipients=_addresses(envelope.recipients),
            helo=_printable(envelope.helo, _LONGEST_HELO),
            remote_ip=envelope.remote_ip,
            attempted_at=now,
        )
        self._add(refusal, self._minute(webhook_id, now))
        self._work.set()

    async def run(self) -> NoReturn:
        """Write until cancelled; `flush` then writes what is left."""
        while True:
            if not self._minutes and not self._waiting:
                self._work.clear()
            await self._work.wait()
            self._end_minutes(self._clock())
            self._tell_lost()
            if not self._waiting or not await self._written():
                await asyncio.sleep(_PAUSE)

    async def flush(self) -> None:
        """Write all, minutes that have not ended too; what the store does not take now is lost."""
        while self._waiting or self._minutes:
            while self._minutes and len(self._waiting) < _BUFFER:
                self._end_first()
            if self._waiting and not await self._written():
                break
        self._lose(_counted(self._waiting) + sum(each.beyond for each in self._minutes.values()))
        self._waiting.clear()
        self._minutes.clear()
        self._tell_lost()

    def _add(self, refusal: Refusal, minute: _Minute) -> None:
        if minute.recorded < self._per_minute and len(self._waiting) < _BUFFER:
            minute.recorded += 1
            self._waiting.append(refusal)
        else:
            minute.beyond += 1
            minute.last = refusal

    def _minute(self, webhook_id: str, now: datetime) -> _Minute:
        """Return the minute of a webhook, which lasts longer than one while the buffer is full."""
        if webhook_id not in self._minutes:
            if len(self._minutes) >= _WEBHOOKS:
                self._end_first()
            self._minutes[webhook_id] = _Minute(now)
        return self._minutes[webhook_id]

    def _end_minutes(self, now: datetime) -> None:
        """End those that are over: they stand in the order of their beginnings."""
        while self._minutes and len(self._waiting) < _BUFFER:
            first = next(iter(self._minutes.values()))
            if first.began <= now < first.began + _MINUTE:  # else the clock may have been put back
                return
            self._end_first()

    def _end_first(self) -> None:
        _, minute = self._minutes.popitem(last=False)
        if minute.last is None:
            return
        if len(self._waiting) >= _BUFFER:
            self._lose(minute.beyond)
        else:
            self._waiting.append(minute.last.model_copy(update={"others": minute.beyond - 1}))

    async def _written(self) -> bool:
        """Write a batch; return False if the store is away. What is written twice is there once."""
        batch = self._waiting[:_LARGEST_BATCH]
        try:
            await self._logs.add(batch)
        except StoreUnavailable as error:
            log.warning("refusals.store_away", extra={"error": str(error)})
            return False
        except Exception:
            # Whatever a sender has found to write, it must not end the service.
            log.exception("refusals.not_written")
            self._lose(_counted(batch))
        else:
            RECORDED.inc(_counted(batch))
        del self._waiting[: len(batch)]
        return True

    def _lose(self, count: int) -> None:
        LOST.inc(count)
        self._lost += count

    def _tell_lost(self) -> None:
        """Log what was lost since it was told last: one line, however many they were."""
        if self._lost:
            log.error("refusals.lost", extra={"count": self._lost})
            self._lost = 0


def _counted(refusals: Sequence[Refusal]) -> int:
    return sum(1 + refusal.others for refusal in refusals)


def _addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple([_printable(each, _LONGEST_ADDRESS) for each in addresses[:_MOST_RECIPIENTS]])


def _printable(text: str, longest: int) -> str:
    text = text[:longest]
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else "\ufffd" for each in text])
