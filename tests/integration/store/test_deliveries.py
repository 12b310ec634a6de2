"""Deliveries on every server: the latest word wins, filters, pages, and what was replayed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.delivery import Delivery, DeliveryFilter, DeliveryState, MailFilter
from conduit.model.ids import Prefix, new_id
from conduit.store import deliveries as module
from conduit.store.connection import Store
from conduit.store.deliveries import Deliveries

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILED = DeliveryFilter(state=DeliveryState.FAILED)
ALL = DeliveryFilter()
AUTHENTICATION = AuthResults(
    Spf(SpfStatus.SOFTFAIL, SpfScope.HELO, "mx.example.com", "not allowed, but not refused"),
    (
        Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),
        Dkim(DkimStatus.PERMERROR, "", "", "", "the signature cannot be read"),
    ),
    Dmarc(DmarcStatus.PASS, "example.com", "quarantine"),
    Arc(ArcStatus.PASS, "relay.example.net", 2),
)


@pytest.fixture
def deliveries(store: Store) -> Deliveries:
    """The deliveries."""
    return Deliveries(store, timedelta(days=30))


def delivery(minute: int = 0, **changes: Any) -> Delivery:
    fields: dict[str, Any] = {
        "id": new_id(Prefix.DELIVERY),
        "webhook_id": "wh_1",
        "account_id": "acc_1",
        "message_id": new_id(Prefix.MESSAGE),
        "smtp_message_id": f"<{minute}@example.com>",
        "sender": "sender@example.com",
        "recipients": ("a@example.org", "b@example.org"),
        "subject": "ü",
        "size": 12,
        "state": DeliveryState.FAILED,
        "attempts": 1,
        "next_attempt_at": None,
        "received_at": NOON + timedelta(minutes=minute),
        "updated_at": NOON,
        "helo": "mx.example.com",
        "remote_ip": "192.0.2.1",
        "tls": "TLSv1.3",
    }
    return Delivery(**fields | changes)


async def test_what_was_written_is_found_as_it_was(deliveries: Deliveries) -> None:
    written = delivery(replay_of="dlv_1", replayed_at=NOON, authenticated_as="u")
    await deliveries.put([written])
    assert await deliveries.of_webhook("wh_1", written.id) == written
    assert await deliveries.of_webhook("wh_2", written.id) is None


async def test_what_was_known_of_the_sender_is_found_as_it_was(deliveries: Deliveries) -> None:
    written = delivery(tag="2026", authentication=AUTHENTICATION)
    unsigned = delivery(authentication=replace(AUTHENTICATION, dkim=()))
    await deliveries.put([written, unsigned])
    assert await deliveries.of_webhook("wh_1", written.id) == written
    assert await deliveries.of_webhook("wh_1", unsigned.id) == unsigned


async def test_results_of_a_newer_version_are_read(deliveries: Deliveries, store: Store) -> None:
    written = delivery(authentication=AUTHENTICATION)
    await deliveries.put([written])
    newer = ("authentication.bimi", "authentication.spf.x", "authentication.dkim.1.x")
    await store.collection("deliveries").update_one(
        {"_id": written.id}, {"$set": dict.fromkeys(newer, 1)}
    )
    assert await deliveries.of_webhook("wh_1", written.id) == written


async def test_the_latest_attempt_wins(deliveries: Deliveries) -> None:
    second = delivery(attempts=2, state=DeliveryState.DELIVERED)
    await deliveries.put([second])
    first = second._replace(attempts=0, state=DeliveryState.PENDING)
    await deliveries.put([first])
    assert await deliveries.of_webhook("wh_1", second.id) == second


async def test_what_waited_and_what_is_new_are_written_together(deliveries: Deliveries) -> None:
    waited = delivery(attempts=0, state=DeliveryState.PENDING)
    await deliveries.put([waited])
    tried, new, later = waited._replace(attempts=1), delivery(), delivery(attempts=3)
    await deliveries.put([new, tried, later])
    for each in (new, tried, later):
        assert await deliveries.of_webhook("wh_1", each.id) == each


async def test_records_of_other_versions_are_read(deliveries: Deliveries, store: Store) -> None:
    written = delivery()
    await deliveries.put([written])
    later_fields = (
        *("replay_of", "replayed_at", "helo", "remote_ip", "tls", "authenticated_as"),
        *("tag", "authentication"),
    )
    await store.collection("deliveries").update_one(
        {"_id": written.id}, {"$unset": dict.fromkeys(later_fields, ""), "$set": {"new_field": 1}}
    )
    found = await deliveries.of_webhook("wh_1", written.id)
    assert found == written._replace(helo="", remote_ip="", tls=None)
    assert await deliveries.not_replayed("wh_1", FAILED, None, 10) == [found]


async def test_pages_have_the_newest_mail_first(deliveries: Deliveries) -> None:
    written = [delivery(minute) for minute in range(5)]
    await deliveries.put([*written, delivery(9, webhook_id="wh_2")])
    newest_first = written[::-1]
    assert await deliveries.page("wh_1", 1, 3, ALL) == newest_first[:3]
    assert await deliveries.page("wh_1", 2, 3, ALL) == newest_first[3:]


async def test_filters_are_taken_together(deliveries: Deliveries) -> None:
    written = [
        delivery(0),
        delivery(1, sender=""),
        delivery(2, state=DeliveryState.DELIVERED),
        delivery(3),
    ]
    await deliveries.put(written)

    async def found(state: DeliveryState | None = None, **mails: Any) -> list[int]:
        wanted = DeliveryFilter(MailFilter(**mails), state)
        page = await deliveries.page("wh_1", 1, 10, wanted)
        assert await deliveries.count("wh_1", wanted) == len(page)
        return sorted(written.index(each) for each in page)

    one, three = (NOON + timedelta(minutes=minute) for minute in (1, 3))
    assert await found() == [0, 1, 2, 3]
    assert await found(DeliveryState.FAILED) == [0, 1, 3]
    assert await found(sender="") == [1]
    assert await found(smtp_message_ids=("2@example.com", "<2@example.com>")) == [2]
    assert await found(since=one, until=three) == [1, 2]
    assert await found(DeliveryState.FAILED, since=one, until=three) == [1]
    assert await found(DeliveryState.PENDING) == []


async def test_counting_ends_somewhere(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNTED", 3)
    await deliveries.put([delivery() for _ in range(5)])
    assert await deliveries.count("wh_1", ALL) == 3


async def test_what_was_not_replayed_comes_the_oldest_first(deliveries: Deliveries) -> None:
    written = [delivery(minute // 2) for minute in range(6)]  # two of each moment
    oldest_first = sorted(written, key=lambda each: (each.received_at, each.id))
    await deliveries.put([*written, delivery(0, state=DeliveryState.DELIVERED)])
    first = await deliveries.not_replayed("wh_1", FAILED, None, 3)
    assert first == oldest_first[:3]
    last = first[-1]
    rest = await deliveries.not_replayed("wh_1", FAILED, (last.received_at, last.id), 9)
    assert rest == oldest_first[3:]


async def test_what_was_replayed_is_not_again(deliveries: Deliveries) -> None:
    once, other = delivery(0), delivery(1)
    await deliveries.put([once, other])
    await deliveries.note_replayed([once.id], NOON)
    assert await deliveries.not_replayed("wh_1", FAILED, None, 9) == [other]
    noted = await deliveries.of_webhook("wh_1", once.id)
    assert noted == once._replace(replayed_at=NOON)


def held(minute: int = 0, **changes: Any) -> Delivery:
    waiting = {"state": DeliveryState.PENDING, "attempts": 0}
    return delivery(minute, **waiting | {"held_at": NOON + timedelta(minutes=minute)} | changes)


async def test_what_is_held_is_found_the_longest_first(deliveries: Deliveries) -> None:
    written = [held(minute) for minute in (2, 0, 1)]
    await deliveries.put([*written, held(webhook_id="wh_2"), delivery()])
    first, second, third = sorted(written, key=lambda each: each.received_at)
    assert await deliveries.held("wh_1", 2) == [first, second]
    assert await deliveries.held("wh_1", 9) == [first, second, third]
    assert await deliveries.held("wh_1", 9, NOON + timedelta(minutes=1)) == [first]
    assert await deliveries.of_webhook("wh_1", first.id) == first


async def test_what_is_held_does_not_expire_before_it_is_let_go(
    deliveries: Deliveries, store: Store
) -> None:
    waiting = held()
    await deliveries.put([waiting])
    collection = store.collection("deliveries")
    document = await collection.find_one({"_id": waiting.id})
    assert document is not None
    assert "expires_at" not in document
    later = NOON + timedelta(days=3)
    await deliveries.let_go([waiting], later)
    document = await collection.find_one({"_id": waiting.id})
    assert document is not None
    assert document["expires_at"] == later + timedelta(days=30)
    gone = waiting._replace(held_at=None, updated_at=later)
    assert await deliveries.of_webhook("wh_1", waiting.id) == gone
    assert await deliveries.held("wh_1", 9) == []


async def test_what_went_on_or_is_held_anew_is_not_let_go(deliveries: Deliveries) -> None:
    seen = [held(0), held(1)]
    await deliveries.put(seen)
    delivered = seen[0]._replace(attempts=1, state=DeliveryState.DELIVERED, held_at=None)
    anew = seen[1]._replace(held_at=NOON + timedelta(hours=1))
    await deliveries.put([delivered, anew])
    await deliveries.let_go(seen, NOON + timedelta(hours=2))
    assert await deliveries.of_webhook("wh_1", delivered.id) == delivered
    assert await deliveries.held("wh_1", 9) == [anew]


async def test_what_waits_is_postponed_and_what_went_on_is_not(deliveries: Deliveries) -> None:
    waiting, until = delivery(attempts=0, state=DeliveryState.PENDING), NOON + timedelta(hours=1)
    done = delivery(attempts=1, state=DeliveryState.DELIVERED)
    await deliveries.put([waiting, done])
    assert await deliveries.postpone(waiting.id, 0, until)
    assert not await deliveries.postpone(waiting.id, 1, until)
    assert not await deliveries.postpone(done.id, 1, until)
    assert not await deliveries.postpone("dlv_1", 0, until)
    found = await deliveries.of_webhook("wh_1", waiting.id)
    assert found == waiting._replace(next_attempt_at=until)


async def test_deliveries_of_webhooks_are_forgotten(deliveries: Deliveries) -> None:
    await deliveries.put([delivery(), delivery(webhook_id="wh_2"), delivery(webhook_id="wh_3")])
    await deliveries.forget(["wh_1", "wh_2"])
    assert [await deliveries.count(name, ALL) for name in ("wh_1", "wh_2", "wh_3")] == [0, 0, 1]
