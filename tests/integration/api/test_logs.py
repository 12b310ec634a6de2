"""Delivery logs: in pages, newest first, with links to the other pages."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from conduit.model.delivery import Attempt, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.delivery_logs import DeliveryLogs
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
