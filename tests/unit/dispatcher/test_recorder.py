"""Recording in batches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Attempt, Delivery, DeliveryState, Result
from conduit.model.message import Message
from conduit_dispatcher import recorder as module
from conduit_dispatcher.recorder import Recorder

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(number: int) -> Attempt:
    return Attempt(
        id=f"log_{number}",
        delivery_id="dlv_1",
        webhook_id="wh_1",
        number=number,
        smtp_message_id=None,
        sender="a@example.com",
        result=Result.DELIVERED,
        http_status=200,
        error=None,
        duration_ms=1,
        attempted_at=NOW,
    )


def delivery(number: int) -> Delivery:
    return Delivery(
        id="dlv_1",
        webhook_id="wh_1",
        account_id="acc_1",
        message_id="msg_1",
        smtp_message_id=None,
        sender="a@example.com",
        recipients=("b@example.com",),
        subject=None,
        size=1,
        state=DeliveryState.DELIVERED,
        attempts=number,
        next_attempt_at=None,
        received_at=NOW,
        updated_at=NOW,
    )


class Written:
    """The collections in memory; a write waits for `open` and fails with what is in `failures`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.deliveries: list[int] = []
        self.messages: list[list[str]] = []
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def add(self, attempts: Sequence[Attempt]) -> None:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([attempt.number for attempt in attempts])

    async def attempt(self, delivery_id: str, number: int) -> Attempt | None:
        written = any(number in batch for batch in self.batches)
        return attempt(number) if written and delivery_id == "dlv_1" else None

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        await self.open.wait()
        self.deliveries += [delivery.attempts for delivery in deliveries]

    async def keep(self, messages: Sequence[Message]) -> None:
        self.messages.append([message.id for message in messages])


@asynccontextmanager
async def running(written: Written) -> AsyncIterator[Recorder]:
    recorder = Recorder(written, written, written)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_record_returns_when_the_attempt_is_written() -> None:
    written = Written()
    async with running(written) as recorder:
        await recorder.record(delivery(1), attempt(1))
        assert written.batches == [[1]]
        assert await recorder.recorded("dlv_1", 1) == attempt(1)
        assert await recorder.recorded("dlv_1", 2) is None


async def test_what_comes_while_a_batch_is_written_goes_into_the_next_one() -> None:
    written = Written()
    written.open.clear()
    async with running(written) as recorder, asyncio.TaskGroup() as group:
        group.create_task(recorder.record(delivery(1), attempt(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in (2, 3, 4):
            group.create_task(recorder.record(delivery(number), attempt(number)))
        await asyncio.sleep(0)
        written.open.set()
    assert written.batches == [[1], [2, 3, 4]]


async def test_while_the_store_is_away_everybody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    written = Written()
    written.failures = [StoreUnavailable("away"), StoreUnavailable("away")]
    async with running(written) as recorder:
        await recorder.record(delivery(1), attempt(1))
    assert written.batches == [[1]]


async def test_another_failure_is_raised_to_who_waits_and_the_recorder_goes_on() -> None:
    written = Written()
    written.failures = [ValueError("a mistake of ours")]
    async with running(written) as recorder:
        with pytest.raises(ValueError, match="a mistake of ours"):
            await recorder.record(delivery(1), attempt(1))
        await recorder.record(delivery(2), attempt(2))
    assert written.batches == [[2]]


async def test_a_mail_of_several_deliveries_is_kept_once_a_batch() -> None:
    written, mail = Written(), Message("msg_1", NOW, b"")
    async with running(written) as recorder, asyncio.TaskGroup() as group:
        for number in (1, 2):
            group.create_task(recorder.record(delivery(number), attempt(number), mail))
        group.create_task(recorder.record(delivery(3), attempt(3), Message("msg_2", NOW, b"")))
    assert written.batches == [[1, 2, 3]]
    assert written.messages == [["msg_1", "msg_2"]]


async def test_a_delivery_may_be_recorded_before_its_first_attempt() -> None:
    written = Written()
    async with running(written) as recorder:
        await recorder.record(delivery(0))
    assert (written.deliveries, written.batches, written.messages) == ([0], [], [])
