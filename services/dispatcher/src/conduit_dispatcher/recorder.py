"""Recording attempts: whoever waits for one write shares it with all who came meanwhile."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Histogram

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Attempt, Delivery

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


class Recorder:
    """Writes attempts in batches. While the store is away it keeps trying, and everybody waits:

    what is not recorded is not acknowledged, so the queue keeps it.
    """

    def __init__(self, attempts: AttemptLog, deliveries: DeliveryStates) -> None:
        self._attempts = attempts
        self._deliveries = deliveries
        self._waiting: list[tuple[Attempt, Delivery, asyncio.Future[None]]] = []
        self._work = asyncio.Event()

    async def record(self, attempt: Attempt, delivery: Delivery) -> None:
        """Return when both are durable."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((attempt, delivery, written))
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

    async def _write(self, batch: list[tuple[Attempt, Delivery, asyncio.Future[None]]]) -> None:
        BATCH.observe(len(batch))
        try:
            await self._until_written([a for a, _, _ in batch], [d for _, d, _ in batch])
        except Exception as error:  # noqa: BLE001 (each waiter raises it in its own name)
            _finish(batch, error)
        else:
            _finish(batch, None)

    async def _until_written(
        self, attempts: Sequence[Attempt], deliveries: Sequence[Delivery]
    ) -> None:
        while True:
            try:
                await asyncio.gather(self._attempts.add(attempts), self._deliveries.put(deliveries))
            except StoreUnavailable as error:
                log.warning("recorder.store_away", extra={"error": str(error)})
                await asyncio.sleep(_PAUSE)
            else:
                return


def _finish(
    batch: list[tuple[Attempt, Delivery, asyncio.Future[None]]], error: Exception | None
) -> None:
    for _, _, written in batch:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
