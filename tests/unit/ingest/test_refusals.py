"""Refusals on record: each one, up to a number within a minute, and then the number of others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Refusal
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, is_id
from conduit.model.verdict import Reason, Reject
from conduit_smtp_ingest import refusals as module
from conduit_smtp_ingest.refusals import LOST, RECORDED, Refusals
from conduit_smtp_ingest.replies import Reply, as_endpoint_says, for_verdict
from tests.support.polling import eventually

PER_MINUTE = 3
REPLY = Reply(550, "5.7.23", "SPF did not pass, which this address requires")
ENVELOPE = Envelope("ann@example.com", ("alerts@example.org",), "mx.example.com", "192.0.2.1")


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Log:
    """The delivery log in memory; a write waits for `open` and fails with what is in `failures`."""

    def __init__(self) -> None:
        self.entries: list[Refusal] = []
        self.batches: list[int] = []
        self.failures: list[Exception] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def add(self, entries: Sequence[Refusal]) -> None:
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("away")
        if self.failures:
            raise self.failures.pop(0)
        known = {entry.id for entry in self.entries}
        self.entries += [entry for entry in entries if entry.id not in known]
        self.batches.append(len(entries))

    def told(self) -> list[tuple[str, str, int]]:
        """Return of each entry whose it is, its sender, and how many others it counts."""
        return [(entry.webhook_id, entry.sender, entry.others) for entry in self.entries]

    @property
    def counted(self) -> int:
        return sum(1 + entry.others for entry in self.entries)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the ends of minutes, and for the store, more often."""
    monkeypatch.setattr(module, "_PAUSE", 0.01)


@pytest.fixture
def clock() -> Clock:
    """A clock of this test's own."""
    return Clock()


@pytest.fixture
def log() -> Log:
    """A delivery log of this test's own."""
    return Log()


@pytest.fixture
def refusals(log: Log, clock: Clock) -> Refusals:
    """Refusals that are not written unless they are running or flushed."""
    return Refusals(log, per_minute=PER_MINUTE, clock=clock)


@asynccontextmanager
async def running(refusals: Refusals) -> AsyncIterator[None]:
    task = asyncio.create_task(refusals.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def refuse(refusals: Refusals, *senders: object, webhook: str = "wh_1") -> None:
    for sender in senders:
        envelope = replace(ENVELOPE, mail_from=str(sender))
        refusals.note(webhook, Reason.SPF_NOT_PASSED, REPLY, envelope)


def growth_of_lost() -> Callable[[], float]:
    """Return what tells how many were lost from now on."""
    before = _lost()
    return lambda: _lost() - before


def _lost() -> float:
    lost: float = LOST._value.get()
    return lost


async def test_a_refusal_tells_who_was_refused_and_how(
    refusals: Refusals, log: Log, clock: Clock
) -> None:
    refusals.note("wh_1", Reason.SPF_NOT_PASSED, REPLY, ENVELOPE, "<1@example.com>")
    await refusals.flush()
    [entry] = log.entries
    assert is_id(Prefix.LOG, entry.id)
    assert entry == Refusal(
        id=entry.id,
        webhook_id="wh_1",
        reason="spf_not_passed",
        smtp_reply="550 5.7.23 SPF did not pass, which this address requires",
        smtp_message_id="<1@example.com>",
        sender="ann@example.com",
        recipients=("alerts@example.org",),
        helo="mx.example.com",
        remote_ip="192.0.2.1",
        attempted_at=clock.now,
        others=0,
    )


async def test_refusals_are_written_while_others_come(refusals: Refusals, log: Log) -> None:
    log.open.clear()
    async with running(refusals):
        refuse(refusals, "a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refuse(refusals, "b", "c")
        log.open.set()
        await eventually(lambda: log.counted == 3)
    assert log.batches == [1, 2]


async def test_what_is_beyond_a_webhook_s_share_is_one_entry_at_the_minute_s_end(
    refusals: Refusals, log: Log, clock: Clock
) -> None:
    async with running(refusals):
        refuse(refusals, *range(10))
        refuse(refusals, "a", webhook="wh_2")
        await eventually(lambda: len(log.entries) == 4)
        clock.go_on(59.9)
        refuse(refusals, 10)
        await eventually(lambda: log.batches == [4])
        clock.go_on(0.1)
        await eventually(lambda: len(log.entries) == 5)
    assert log.told()[:4] == [
        ("wh_1", "0", 0),
        ("wh_1", "1", 0),
        ("wh_1", "2", 0),
        ("wh_2", "a", 0),
    ]
    assert log.told()[4] == ("wh_1", "10", 7)


async def test_a_new_minute_has_a_new_share(refusals: Refusals, log: Log, clock: Clock) -> None:
    refuse(refusals, *range(PER_MINUTE + 2))
    clock.go_on(60)
    refuse(refusals, *"abc")
    await refusals.flush()
    told = [(sender, others) for _, sender, others in log.told()]
    assert told == [("0", 0), ("1", 0), ("2", 0), ("4", 1), ("a", 0), ("b", 0), ("c", 0)]


async def test_a_clock_that_is_put_back_holds_nothing_back(
    refusals: Refusals, log: Log, clock: Clock
) -> None:
    async with running(refusals):
        refuse(refusals, *range(PER_MINUTE + 1))
        clock.go_on(-3600)
        await eventually(lambda: log.counted == PER_MINUTE + 1)


async def test_while_the_store_is_away_all_are_kept_or_counted(
    refusals: Refusals, log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUFFER", 4)
    log.away, lost = True, growth_of_lost()
    async with running(refusals):
        for minute in range(5):
            refuse(refusals, minute, minute)
            refuse(refusals, minute, webhook="wh_2")
            clock.go_on(60)
        assert log.entries == []
        log.away = False
        await eventually(lambda: log.counted == 15)
    assert lost() == 0
    assert {webhook for webhook, _, _ in log.told()} == {"wh_1", "wh_2"}


async def test_what_memory_has_no_room_for_is_lost_and_told(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_BUFFER", 4)
    monkeypatch.setattr(module, "_WEBHOOKS", 3)
    log.away, lost = True, growth_of_lost()
    for number in range(100):
        refuse(refusals, "a", webhook=f"wh_{number}")
    assert lost() == 100 - 4 - 3
    log.away = False
    async with running(refusals):
        await eventually(lambda: log.counted == 4)
    await refusals.flush()
    assert log.counted == 4 + 3
    assert _lines(caplog, "refusals.lost") == [93]


async def test_a_flood_of_webhooks_ends_the_minutes_of_the_first_ones(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WEBHOOKS", 2)
    refuse(refusals, *range(PER_MINUTE + 2))
    refuse(refusals, "a", webhook="wh_2")
    refuse(refusals, "a", webhook="wh_3")
    async with running(refusals):
        await eventually(lambda: log.counted == PER_MINUTE + 4)
    assert ("wh_1", "4", 1) in log.told()


async def test_at_the_stop_all_is_written_though_a_minute_has_not_ended(
    refusals: Refusals, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_BATCH", 2)
    log.open.clear()
    async with running(refusals):
        refuse(refusals, *range(20))
        await asyncio.sleep(0)  # a write is under way when the service stops
        await asyncio.sleep(0)
    log.open.set()
    recorded = RECORDED._value.get()
    await refusals.flush()
    assert log.told()[-1] == ("wh_1", "19", 16)
    assert (log.counted, RECORDED._value.get() - recorded) == (20, 20)
    await refusals.flush()
    assert len(log.entries) == PER_MINUTE + 1


async def test_a_stop_does_not_wait_for_a_store_that_is_away(
    refusals: Refusals, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.away, lost = True, growth_of_lost()
    refuse(refusals, *range(20))
    await refusals.flush()
    assert lost() == 20
    assert _lines(caplog, "refusals.lost") == [20]


async def test_a_batch_that_cannot_be_written_is_lost_and_told_and_the_others_are_written(
    refusals: Refusals, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.failures, lost = [ValueError("a mistake of ours")], growth_of_lost()
    async with running(refusals):
        refuse(refusals, "a", "b")
        await eventually(lambda: lost() == 2)
        refuse(refusals, "c")
        await eventually(lambda: log.told() == [("wh_1", "c", 0)])
        await eventually(lambda: _lines(caplog, "refusals.lost") == [2])
    assert "a mistake of ours" in caplog.text


async def test_what_a_sender_says_is_bounded_and_printable(refusals: Refusals, log: Log) -> None:
    envelope = Envelope(
        mail_from="a\u202e\udc80" + "a" * 1000,
        recipients=tuple(f"{'r' * 300}{number}" for number in range(100)),
        helo="mx\x1b[31m" + "h" * 1000,
        remote_ip="192.0.2.1",
    )
    reply = Reply(550, "5.3.0", "no\r\n250 OK" + "x" * 1000)
    refusals.note("wh_1", Reason.ENDPOINT_REFUSED, reply, envelope, "<\x00>" * 1000)
    await refusals.flush()
    [entry] = log.entries
    texts = (entry.sender, entry.helo, entry.smtp_reply, entry.smtp_message_id or "")
    assert [len(text) for text in texts] == [254, 255, 510, 998]
    assert all(text.isprintable() for text in texts)
    assert entry.helo.startswith("mx\ufffd[31mhhh")
    assert entry.smtp_reply.startswith("550 5.3.0 no\ufffd\ufffd250 OKxxx")
    assert entry.recipients == ("r" * 254,) * 10


async def test_an_endpoint_s_longest_reply_is_recorded_whole(refusals: Refusals, log: Log) -> None:
    reply = as_endpoint_says(for_verdict(Reject(Reason.ENDPOINT_REFUSED)), 554, "x" * 1000)
    refusals.note("wh_1", Reason.ENDPOINT_REFUSED, reply, ENVELOPE)
    await refusals.flush()
    assert [entry.smtp_reply for entry in log.entries] == [str(reply)]


def _lines(caplog: pytest.LogCaptureFixture, event: str) -> list[int]:
    return [record.__dict__["count"] for record in caplog.records if record.message == event]
