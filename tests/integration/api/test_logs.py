"""Delivery logs: in pages, newest first, with links to the other pages."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from conduit.model.delivery import Attempt, Refusal, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.mail_filter import COUNTED
from tests.integration.api.client import User

NOWHERE = "log_01arz3ndektsv4rrffq69g5fav"


def new_attempt(webhook_id: str, minutes_ago: int = 0, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "id": new_id(Prefix.LOG),
        "delivery_id": new_id(Prefix.DELIVERY),
        "webhook_id": webhook_id,
        "number": 1,
        "smtp_message_id": "<1@example.com>",
        "sender": "sender@example.com",
        "result": Result.DELIVERED,
        "http_status": 200,
        "error": None,
        "duration_ms": 12,
        "attempted_at": utc_now() - timedelta(minutes=minutes_ago),
    }
    return Attempt(**fields | changes)


def new_refusal(webhook_id: str, minutes_ago: int = 0, **changes: Any) -> Refusal:
    fields: dict[str, Any] = {
        "id": new_id(Prefix.LOG),
        "webhook_id": webhook_id,
        "reason": "spf_not_passed",
        "smtp_reply": "550 5.7.23 SPF did not pass, which this address requires",
        "smtp_message_id": None,
        "sender": "sender@example.com",
        "recipients": ("alerts@example.org",),
        "helo": "mx.example.com",
        "remote_ip": "192.0.2.1",
        "attempted_at": utc_now() - timedelta(minutes=minutes_ago),
    }
    return Refusal(**fields | changes)


def links(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: url for url, name in re.findall(r'<([^>]+)>; rel="(\w+)"', headers["Link"])}


async def test_a_new_webhook_has_no_logs(resident: User) -> None:
    webhook = await resident.new_webhook()
    reply = await resident.client.get(f"/webhooks/{webhook['id']}/logs")
    assert reply.expect(200) == []
    assert reply.headers["X-Total-Count"] == "0"
    assert set(links(reply.headers)) == {"first", "last"}


async def test_an_attempt_is_told(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    attempt = new_attempt(webhook["id"], response="ok")
    await logs.add([attempt])
    [entry] = (await resident.client.get(f"/webhooks/{webhook['id']}/logs")).expect(200)
    assert entry == {
        "id": attempt.id,
        "webhook_id": webhook["id"],
        "delivery_id": attempt.delivery_id,
        "attempt": 1,
        "status": "delivered",
        "simulated": False,
        "smtp_message_id": "<1@example.com>",
        "sender": "sender@example.com",
        "http_status": 200,
        "response": "ok",
        "duration_ms": 12,
        "attempted_at": attempt.attempted_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    path = f"/webhooks/{webhook['id']}/logs/{attempt.id}"
    assert (await resident.client.get(path)).expect(200) == entry


async def test_what_is_unknown_is_left_out(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    attempt = new_attempt(
        webhook["id"], smtp_message_id=None, sender="", http_status=None, error="no connection"
    )
    await logs.add([attempt])
    [entry] = (await resident.client.get(f"/webhooks/{webhook['id']}/logs")).expect(200)
    assert entry["error"] == "no connection"
    assert entry["sender"] == ""
    assert not {"smtp_message_id", "http_status", "response"} & set(entry)


async def test_a_refusal_is_told(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    refusal = new_refusal(webhook["id"])
    await logs.add([refusal])
    [entry] = (await resident.client.get(f"/webhooks/{webhook['id']}/logs")).expect(200)
    assert entry == {
        "id": refusal.id,
        "webhook_id": webhook["id"],
        "status": "refused",
        "reason": "spf_not_passed",
        "smtp_reply": "550 5.7.23 SPF did not pass, which this address requires",
        "error": "The mail was refused with: 550 5.7.23 SPF did not pass, which this address "
        "requires",
        "sender": "sender@example.com",
        "recipients": ["alerts@example.org"],
        "helo": "mx.example.com",
        "remote_ip": "192.0.2.1",
        "attempted_at": refusal.attempted_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "simulated": False,
    }
    path = f"/webhooks/{webhook['id']}/logs/{refusal.id}"
    assert (await resident.client.get(path)).expect(200) == entry


async def test_refusals_that_were_only_counted_are_told(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    await logs.add([new_refusal(webhook["id"], others=41, smtp_message_id="<1@example.com>")])
    [entry] = (await resident.client.get(f"/webhooks/{webhook['id']}/logs")).expect(200)
    assert (entry["others"], entry["smtp_message_id"]) == (41, "<1@example.com>")
    assert entry["error"].endswith("(so were 41 others)")


async def test_refusals_are_on_the_pages_among_the_attempts(
    resident: User, logs: DeliveryLogs
) -> None:
    webhook = await resident.new_webhook()
    entries = [
        (new_refusal if minute % 2 else new_attempt)(webhook["id"], minute) for minute in range(5)
    ]
    await logs.add(entries)
    path = f"/webhooks/{webhook['id']}/logs"
    reply = await resident.client.get(f"{path}?page=2&page_size=2")
    assert [entry["id"] for entry in reply.expect(200)] == [entry.id for entry in entries[2:4]]
    assert reply.headers["X-Total-Count"] == "5"
    assert set(links(reply.headers)) == {"first", "prev", "next", "last"}


async def test_a_refusal_is_neither_replayed_nor_a_delivery(
    resident: User, logs: DeliveryLogs
) -> None:
    webhook = await resident.new_webhook()
    refusal = new_refusal(webhook["id"])
    await logs.add([refusal])
    path = f"/webhooks/{webhook['id']}"
    reply = await resident.client.post(f"{path}/logs/{refusal.id}/replay")
    assert reply.failure == (409, "mail_refused")
    assert (await resident.client.get(f"{path}/deliveries")).expect(200) == []
    missing = await resident.client.get(f"{path}/deliveries/{refusal.id}")
    assert missing.failure == (404, "not_found")


async def test_refusals_are_shown_to_their_owner_only(
    user: User, resident: User, logs: DeliveryLogs
) -> None:
    webhook, own = await user.new_webhook(), await resident.new_webhook()
    refusal = new_refusal(webhook["id"])
    await logs.add([refusal])
    for path in (f"/webhooks/{webhook['id']}/logs", f"/webhooks/{own['id']}/logs/{refusal.id}"):
        assert (await resident.client.get(path)).failure == (404, "not_found")
        assert (await resident.client.get(f"{path}/{refusal.id}")).failure == (404, "not_found")
    assert (await resident.client.get(f"/webhooks/{own['id']}/logs")).expect(200) == []
    [entry] = (await user.client.get(f"/webhooks/{webhook['id']}/logs")).expect(200)
    assert entry["id"] == refusal.id


async def test_pages_are_linked_and_newest_first(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    attempts = [new_attempt(webhook["id"], minutes_ago=minute) for minute in range(45)]
    await logs.add(attempts)
    found: list[str] = []
    url: str | None = f"/api/v1/webhooks/{webhook['id']}/logs"
    root = resident.client.base.removesuffix("/api/v1")
    sizes = []
    while url:
        reply = await resident.client.get(f"{root}{url}")
        page = reply.expect(200)
        assert reply.headers["X-Total-Count"] == "45"
        sizes.append(len(page))
        found += [entry["id"] for entry in page]
        url = links(reply.headers).get("next")
    assert sizes == [20, 20, 5]
    assert found == [attempt.id for attempt in attempts]


async def test_a_page_links_to_all_around_it(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    await logs.add([new_attempt(webhook["id"]) for _ in range(5)])
    path = f"/webhooks/{webhook['id']}/logs"
    reply = await resident.client.get(f"{path}?page=2&page_size=2")
    pages = {"first": 1, "prev": 1, "next": 3, "last": 3}
    assert links(reply.headers) == {
        name: f"/api/v1{path}?page={page}&page_size=2" for name, page in pages.items()
    }


async def test_a_page_beyond_the_last_is_empty(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    await logs.add([new_attempt(webhook["id"])])
    for page in (2, 10**30):
        reply = await resident.client.get(f"/webhooks/{webhook['id']}/logs?page={page}")
        assert reply.expect(200) == []
        assert links(reply.headers)["prev"].endswith("?page=1&page_size=20")
        assert "next" not in links(reply.headers)


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=one", "page=", "page_size=0", "page_size=101"]
)
async def test_a_wrong_page_is_refused(resident: User, query: str) -> None:
    webhook = await resident.new_webhook()
    reply = await resident.client.get(f"/webhooks/{webhook['id']}/logs?{query}")
    assert reply.failure == (422, "validation_error")


async def test_a_page_may_have_a_hundred(resident: User) -> None:
    webhook = await resident.new_webhook()
    (await resident.client.get(f"/webhooks/{webhook['id']}/logs?page_size=100")).expect(200)


async def test_logs_of_one_webhook_are_not_those_of_another(
    resident: User, logs: DeliveryLogs
) -> None:
    one, other = await resident.new_webhook(), await resident.new_webhook()
    attempt = new_attempt(one["id"])
    await logs.add([attempt])
    assert (await resident.client.get(f"/webhooks/{other['id']}/logs")).json == []
    reply = await resident.client.get(f"/webhooks/{other['id']}/logs/{attempt.id}")
    assert reply.failure == (404, "not_found")


async def test_what_is_not_there_is_not_found(resident: User) -> None:
    webhook = await resident.new_webhook()
    for path in (
        f"/webhooks/{webhook['id']}/logs/{NOWHERE}",
        f"/webhooks/{webhook['id']}/logs/1",
        "/webhooks/wh_1/logs",
        f"/webhooks/wh_1/logs/{NOWHERE}",
    ):
        assert (await resident.client.get(path)).failure == (404, "not_found")


async def test_entries_are_filtered(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    attempts = [
        new_attempt(webhook["id"], 40),
        new_attempt(webhook["id"], 30, result=Result.TRANSIENT, sender=""),
        new_attempt(webhook["id"], 20, result=Result.PERMANENT, smtp_message_id="<2@b>"),
        new_attempt(webhook["id"], 10, result=Result.GONE),
    ]
    refusal = new_refusal(webhook["id"], 25, sender="", smtp_message_id="<3@b>")
    await logs.add([*attempts, refusal])

    async def found(**filters: str) -> list[int]:
        reply = await resident.client.get(f"/webhooks/{webhook['id']}/logs", params=filters)
        assert reply.headers["X-Total-Count"] == str(len(reply.expect(200)))
        ids = [*(attempt.id for attempt in attempts), refusal.id]
        return [ids.index(entry["id"]) for entry in reply.json]

    assert await found() == [3, 2, 4, 1, 0]
    assert await found(status="refused") == [4]
    assert await found(status="refused", sender="sender@example.com") == []
    assert await found(status="delivered") == [0]
    assert await found(status="failed") == [3, 2, 1]
    assert await found(status="transient") == [1]
    assert await found(status="permanent") == [2]
    assert await found(status="gone") == [3]
    assert await found(sender="") == [4, 1]
    assert await found(message_id="3@b") == [4]
    assert await found(sender="nobody@example.com") == []
    assert await found(message_id="2@b") == await found(message_id="<2@b>") == [2]
    moment = attempts[2].attempted_at.isoformat()
    assert await found(**{"from": moment}) == [3, 2]
    assert await found(to=moment) == [4, 1, 0]
    assert await found(status="refused", to=moment) == [4]
    assert await found(status="failed", to=moment) == [1]


async def test_links_keep_the_filters(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    await logs.add([new_attempt(webhook["id"], sender='a+b"<>@example.com') for _ in range(3)])
    path = f"/webhooks/{webhook['id']}/logs"
    filters = {"sender": 'a+b"<>@example.com', "page_size": "1", "page": "2"}
    reply = await resident.client.get(path, params=filters)
    root = resident.client.base.removesuffix("/api/v1")
    assert set(links(reply.headers)) == {"first", "prev", "next", "last"}
    for url in links(reply.headers).values():
        assert len((await resident.client.get(root + url)).expect(200)) == 1


@pytest.mark.parametrize("query", ["status=ok", "status=", "from=1", "to=2026-01-01T00:00:00"])
async def test_wrong_filters_are_refused(resident: User, query: str) -> None:
    webhook = await resident.new_webhook()
    reply = await resident.client.get(f"/webhooks/{webhook['id']}/logs?{query}")
    assert reply.failure == (422, "validation_error")


async def test_what_is_counted_and_paged_is_bounded(resident: User, logs: DeliveryLogs) -> None:
    webhook = await resident.new_webhook()
    attempts = [new_attempt(webhook["id"], minutes_ago=number) for number in range(COUNTED + 50)]
    for start in range(0, len(attempts), 200):
        await logs.add(attempts[start : start + 200])
    path = f"/webhooks/{webhook['id']}/logs?page_size=100"
    last = await resident.client.get(f"{path}&page={COUNTED // 100}")
    assert last.headers["X-Total-Count"] == str(COUNTED)
    assert len(last.expect(200)) == 100
    assert "next" not in links(last.headers)
    assert (await resident.client.get(f"{path}&page={COUNTED // 100 + 1}")).expect(200) == []
    older = await resident.client.get(f"{path}&to={last.json[-1]['attempted_at']}")
    assert len(older.expect(200)) == 50
    # The embedded store goes through all there is once a minute, and serves nobody meanwhile.
    await logs.forget([webhook["id"]])
