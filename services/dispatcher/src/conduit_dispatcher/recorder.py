"""Recording attempts: whoever waits for one write shares it with all who came meanwhile."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prometheus_client import Histogram

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Attempt, Delivery
from conduit.model.message import Message

log = logging.getLogger(__name__)

BATCH = Histogram(
    "conduit_dispatcher_record_batch",
    "Attempts written at once.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)

_LARGEST_BATCH = 1000
_PAUSE = 1.0  # seconds between tries while the store is away


class AttemptLog(Protocol):
    """Where attempts are written."""

    async def add(self, attempts: Sequence[Attempt]) -> None:
        """Write attempts, passing over those that are there."""

    async def attempt(self, delivery_id: str, number: int) -> Attempt | None:
        """Return the attempt with this number, if it was recorded."""


class DeliveryStates(Protocol):
    """Where the state of deliveries is written."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries, passing over those with a later attempt."""


class KeptMail(Protocol):
    """Where mails are kept for replay."""

    async def keep(self, messages: Sequence[Message]) -> None:
        """Keep mails, passing over those that are there."""


class _Entry(NamedTuple):
    delivery: Delivery
    attempt: Attempt | None
    message: Message | None
    written: asyncio.Future[None]


class Recorder:
    """Writes attempts in batches. While the store is away it keeps trying, and everybody waits:

    what is not recorded is not acknowledged, so the queue keeps it.
    """

    def __init__(
        self, attempts: AttemptLog, deliveries: DeliveryStates, messages: KeptMail
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._attempts = attempts
        self._deliveries = deliveries
        self._messages = messages
        self._waiting: list[_Entry] = []
        self._work = asyncio.Event()

    async def record(
        self, delivery: Delivery, attempt: Attempt | None = None, message: Message | None = None
    ) -> None:
        """Return when all of it is durable: where the mail stands, what was tried, the mail."""
        written = self._loop.create_future()
        self._waiting.append(_Entry(delivery, attempt, message, written))
        self._work.set()
        await written

    async def recorded(self, delivery_id: str, number: int) -> Attempt | None:
        """Return the attempt with this number, if it was made and recorded before a crash."""
        return await self._attempts.attempt(delivery_id, number)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            batch = self._waiting[:_LARGEST_BATCH]
            del self._waiting[:_LARGEST_BATCH]
            if not self._waiting:
                self._work.clear()
            await self._write(batch)

    async def _write(self, batch: Sequence[_Entry]) -> None:
        BATCH.observe(len(batch))
        try:
            await self._until_written(batch)
        except Exception as error:  # noqa: BLE001 (each waiter raises it in its own name)
            _finish(batch, error)
        else:
            _finish(batch, None)

    async def _until_written(self, batch: Sequence[_Entry]) -> None:
        while True:
            try:
                await self._write_once(batch)
            except StoreUnavailable as error:
                log.warning("recorder.store_away", extra={"error": str(error)})
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _write_once(self, batch: Sequence[_Entry]) -> None:
        attempts = [entry.attempt for entry in batch if entry.attempt]
        # A mail to several webhooks comes with each of its deliveries, and is kept once.
        messages = {entry.message.id: entry.message for entry in batch if entry.message}
        writes = [self._deliveries.put([entry.delivery for entry in batch])]
        if attempts:
            writes.append(self._attempts.add(attempts))
        if messages:
            writes.append(self._messages.keep(list(messages.values())))
        await asyncio.gather(*writes)


def _finish(batch: Sequence[_Entry], error: Exception | None) -> None:
    for entry in batch:
        if entry.written.done():
            continue
        if error is None:
            entry.written.set_result(None)
        else:
            entry.written.set_exception(error)
