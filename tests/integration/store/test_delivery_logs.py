"""The delivery log on every server: batches, repetitions after a crash, pages, counts, expiry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.delivery import Attempt, LogEntry, LogFilter, MailFilter, Refusal, Result
from conduit.model.ids import Prefix, new_id
from conduit.store import delivery_logs as module
from conduit.store.connection import Store
from conduit.store.delivery_logs import DeliveryLogs

RETENTION = timedelta(days=30)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def logs(store: Store) -> DeliveryLogs:
    """The delivery log."""
    return DeliveryLogs(store, RETENTION)


def attempt(delivery: str, number: int = 1, *, minute: int = 0, webhook: str = "wh_1") -> Attempt:
    return Attempt(
        id=new_id(Prefix.LOG),
        delivery_id=delivery,
        webhook_id=webhook,
        number=number,
        smtp_message_id="<a.b$c@example.com>",
        sender="sender@example.com",
        result=Result.TRANSIENT,
        http_status=503,
        error="HTTP 503",
        duration_ms=12,
        attempted_at=NOON + timedelta(minutes=minute),
        response="try later \x00 ü",
    )


def refusal(*, minute: int = 0, webhook: str = "wh_1", **changes: Any) -> Refusal:
    fields: dict[str, Any] = {
        "id": new_id(Prefix.LOG),
        "webhook_id": webhook,
        "reason": "spf_not_passed",
        "smtp_reply": "550 5.7.23 SPF did not pass",
        "smtp_message_id": None,
        "sender": "sender@example.com",
        "recipients": ("alerts@example.org", "ü@example.org"),
        "helo": "mx.example.com",
        "remote_ip": "192.0.2.1",
        "attempted_at": NOON + timedelta(minutes=minute),
    }
    return Refusal(**fields | changes)


async def test_a_batch_is_found_again_entry_by_entry(logs: DeliveryLogs) -> None:
    attempts = [attempt(f"dlv_{number}") for number in range(3)]
    await logs.add(attempts)
    for each in attempts:
        assert await logs.entry("wh_1", each.id) == each
        assert await logs.attempt(each.delivery_id, 1) == each


async def test_an_entry_is_found_under_its_own_webhook_only(logs: DeliveryLogs) -> None:
    kept = attempt("dlv_1")
    await logs.add([kept])
    assert await logs.entry("wh_2", kept.id) is None
    assert await logs.attempt("dlv_1", 2) is None


async def test_a_repeated_attempt_is_left_as_it_was_and_the_others_are_written(
    logs: DeliveryLogs,
) -> None:
    first = attempt("dlv_1")
    await logs.add([first])
    again, others = attempt("dlv_1"), [attempt("dlv_0"), attempt("dlv_2"), attempt("dlv_1", 2)]
    await logs.add([others[0], again, *others[1:]])
    assert await logs.attempt("dlv_1", 1) == first
    assert await logs.entry("wh_1", again.id) is None
    assert await logs.count("wh_1") == 4


async def test_a_batch_of_repetitions_only_changes_nothing(logs: DeliveryLogs) -> None:
    batch = [attempt("dlv_1"), attempt("dlv_2")]
    await logs.add(batch)
    await logs.add(batch)
    assert await logs.count("wh_1") == 2


async def test_pages_have_the_newest_first(logs: DeliveryLogs) -> None:
    attempts = [attempt(f"dlv_{minute}", minute=minute) for minute in range(5)]
    await logs.add([*attempts, attempt("dlv_other", webhook="wh_2")])
    newest_first = attempts[::-1]
    assert await logs.page("wh_1", 1, 2) == newest_first[:2]
    assert await logs.page("wh_1", 2, 2) == newest_first[2:4]
    assert await logs.page("wh_1", 3, 2) == newest_first[4:]
    assert await logs.page("wh_1", 4, 2) == []


async def test_entries_of_one_moment_are_on_one_page_each(logs: DeliveryLogs) -> None:
    attempts = [attempt(f"dlv_{number}") for number in range(7)]
    await logs.add(attempts)
    pages = [await logs.page("wh_1", page, 3) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {each.id for page in pages for each in page} == {each.id for each in attempts}


async def test_each_webhook_s_entries_are_counted(logs: DeliveryLogs) -> None:
    await logs.add([attempt("dlv_1"), attempt("dlv_2"), attempt("dlv_3", webhook="wh_2")])
    assert [await logs.count(name) for name in ("wh_1", "wh_2", "wh_3")] == [2, 1, 0]


async def test_an_entry_says_when_it_expires(store: Store, logs: DeliveryLogs) -> None:
    kept = attempt("dlv_1")
    await logs.add([kept])
    document = await store.collection("delivery_logs").find_one({"_id": kept.id})
    assert document is not None
    assert document["expires_at"] == kept.attempted_at + RETENTION


async def test_attempts_are_found_by_their_results_and_their_time(logs: DeliveryLogs) -> None:
    attempts = [
        attempt(f"dlv_{minute}", minute=minute)._replace(result=result)
        for minute, result in enumerate(Result)
    ]
    await logs.add(attempts)

    async def found(*results: Result, **mails: Any) -> list[Result]:
        wanted = LogFilter(MailFilter(**mails), results)
        page = await logs.page("wh_1", 1, 10, wanted)
        assert await logs.count("wh_1", wanted) == len(page)
        return [each.result for each in page if isinstance(each, Attempt)]

    assert await found(Result.GONE) == [Result.GONE]
    assert await found(Result.TRANSIENT, Result.GONE) == [Result.GONE, Result.TRANSIENT]
    since = NOON + timedelta(minutes=2)
    assert await found(Result.TRANSIENT, Result.GONE, since=since) == [Result.GONE]


async def test_counting_ends_somewhere(logs: DeliveryLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED", 3)
    await logs.add([attempt(f"dlv_{number}") for number in range(5)])
    assert await logs.count("wh_1") == 3


async def test_the_attempts_of_a_delivery_come_in_order(logs: DeliveryLogs) -> None:
    attempts = [attempt("dlv_1", number) for number in (3, 1, 2)]
    await logs.add([*attempts, attempt("dlv_2")])
    assert [each.number for each in await logs.of_delivery("dlv_1")] == [1, 2, 3]


async def test_fields_of_a_newer_version_are_passed_over(store: Store, logs: DeliveryLogs) -> None:
    kept = attempt("dlv_1")
    await logs.add([kept])
    await store.collection("delivery_logs").update_one({"_id": kept.id}, {"$set": {"new": 1}})
    assert await logs.entry("wh_1", kept.id) == kept


async def test_entries_of_webhooks_are_forgotten(logs: DeliveryLogs) -> None:
    await logs.add([attempt("dlv_1"), attempt("dlv_2", webhook="wh_2")])
    await logs.forget(["wh_1"])
    assert [await logs.count(name) for name in ("wh_1", "wh_2")] == [0, 1]


async def test_refusals_stand_among_the_attempts(logs: DeliveryLogs) -> None:
    entries: list[LogEntry] = [
        refusal(minute=minute) if minute % 3 else attempt(f"dlv_{minute}", minute=minute)
        for minute in range(7)
    ]
    await logs.add([*entries, refusal(webhook="wh_2"), attempt("dlv_other", webhook="wh_2")])
    newest_first = entries[::-1]
    assert await logs.page("wh_1", 1, 3) == newest_first[:3]
    assert await logs.page("wh_1", 2, 3) == newest_first[3:6]
    assert await logs.page("wh_1", 3, 3) == newest_first[6:]
    assert [await logs.count(name) for name in ("wh_1", "wh_2", "wh_3")] == [7, 2, 0]


async def test_refusals_are_found_by_what_they_are_and_by_their_mails(logs: DeliveryLogs) -> None:
    refusals = [refusal(minute=1), refusal(minute=3, sender="", smtp_message_id="<1@a>", others=7)]
    tried = attempt("dlv_1", minute=2)._replace(result=Result.PERMANENT)
    await logs.add([*refusals, tried])

    async def found(wanted: LogFilter) -> list[LogEntry]:
        page = await logs.page("wh_1", 1, 10, wanted)
        assert await logs.count("wh_1", wanted) == len(page)
        return page

    assert await found(LogFilter(refused=True)) == refusals[::-1]
    assert await found(LogFilter(results=(Result.PERMANENT,))) == [tried]
    assert await found(LogFilter(MailFilter(sender=""))) == [refusals[1]]
    assert await found(LogFilter(MailFilter(smtp_message_ids=("<1@a>",)))) == [refusals[1]]
    since = NOON + timedelta(minutes=2)
    assert await found(LogFilter(MailFilter(since=since))) == [refusals[1], tried]
    assert await found(LogFilter(MailFilter(until=since))) == [refusals[0]]
    assert await found(LogFilter(MailFilter(since=since), refused=True)) == [refusals[1]]


async def test_a_refusal_is_found_under_its_own_webhook_only(logs: DeliveryLogs) -> None:
    kept = refusal()
    await logs.add([kept])
    assert await logs.entry("wh_1", kept.id) == kept
    assert await logs.entry("wh_2", kept.id) is None


async def test_a_repeated_refusal_is_there_once(logs: DeliveryLogs) -> None:
    first, second = refusal(), refusal()
    await logs.add([first])
    await logs.add([first, second])
    assert await logs.count("wh_1") == 2


async def test_a_refusal_says_when_it_expires(store: Store, logs: DeliveryLogs) -> None:
    kept = refusal()
    await logs.add([kept])
    document = await store.collection("delivery_logs").find_one({"_id": kept.id})
    assert document is not None
    assert document["expires_at"] == kept.attempted_at + RETENTION


async def test_a_reader_who_knows_attempts_only_does_not_come_upon_refusals(
    store: Store, logs: DeliveryLogs
) -> None:
    await logs.add([refusal(), attempt("dlv_1")])
    documents = store.collection("delivery_logs").find({"webhook_id": "wh_1"})
    assert [each["delivery_id"] for each in await documents.to_list(10)] == ["dlv_1"]


async def test_fields_of_a_newer_version_are_passed_over_in_refusals(
    store: Store, logs: DeliveryLogs
) -> None:
    kept = refusal()
    await logs.add([kept])
    newer = {"new": 1, "reason": "a_new_reason"}
    await store.collection("delivery_logs").update_one({"_id": kept.id}, {"$set": newer})
    expected = kept.model_copy(update={"reason": "a_new_reason"})
    assert await logs.entry("wh_1", kept.id) == expected


async def test_refusals_of_webhooks_are_forgotten(logs: DeliveryLogs) -> None:
    await logs.add([refusal(), refusal(), refusal(webhook="wh_2")])
    await logs.forget(["wh_1"])
    assert [await logs.count(name) for name in ("wh_1", "wh_2")] == [0, 1]
