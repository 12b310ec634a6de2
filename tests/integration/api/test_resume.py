"""What owners see of endpoints that fail, and how they have their webhooks called again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from conduit.model.audit import Action
from conduit.model.delivery import DeliveryState
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.notice import paused_notice
from conduit.model.record import utc_now
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.notices import Notices
from conduit.store.webhooks import Webhooks
from tests.integration.api.client import User
from tests.integration.api.mail import Mail

PAUSED_AT = utc_now() - timedelta(minutes=1)
SINCE = PAUSED_AT - timedelta(minutes=5)
"""Far less than the time after which the service itself does anything about it."""


async def fail(store: Store, webhook_id: str) -> None:
    """Record what a dispatcher does of an endpoint that fails."""
    health = EndpointHealth(
        webhook_id=webhook_id,
        failing_since=SINCE,
        failures=7,
        last_error="the endpoint answered 503",
        last_failed_at=PAUSED_AT,
        retry_at=utc_now() + timedelta(minutes=5),
    )
    assert await EndpointHealths(store).write(health) is not None


async def pause(store: Store, webhook_id: str) -> None:
    """Do what the watch does after days."""
    webhook = await Webhooks(store).of_id(webhook_id)
    assert webhook is not None
    await Webhooks(store).replace(webhook.model_copy(update={"paused_at": PAUSED_AT}))


@pytest.fixture
async def paused(user: User, store: Store) -> Any:
    """A webhook that is paused, since its endpoint failed for long."""
    webhook = await user.new_webhook()
    await fail(store, webhook["id"])
    await pause(store, webhook["id"])
    return webhook


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def seen(user: User, webhook_id: str) -> dict[str, datetime]:
    """Return what is told of a webhook's trouble, by itself and in the list alike."""
    one = (await user.client.get(f"/webhooks/{webhook_id}")).expect(200)
    listed = (await user.client.get("/webhooks")).expect(200)
    assert one in listed
    names = ("paused_at", "failing_since")
    return {name: moment(one[name]) for name in names if name in one}


async def actions(store: Store, user: User) -> list[Action]:
    """Return what the audit log has of webhooks, the latest last."""
    entries = await AuditLog(store).newest(user.id, 50)
    return [entry.action for entry in entries[::-1] if entry.action.startswith("webhook.")]


async def test_trouble_is_seen_on_the_webhook_that_has_it(
    user: User, store: Store, paused: Any
) -> None:
    fine, failing = await user.new_webhook(), await user.new_webhook()
    await fail(store, failing["id"])
    assert await seen(user, paused["id"]) == {"paused_at": PAUSED_AT, "failing_since": SINCE}
    assert await seen(user, failing["id"]) == {"failing_since": SINCE}
    assert await seen(user, fine["id"]) == {}


async def test_a_webhook_is_resumed(user: User, store: Store, paused: Any) -> None:
    resumed = (await user.client.post(f"/webhooks/{paused['id']}/resume")).expect(200)
    assert resumed.keys() == paused.keys() - {"secret"}
    assert await seen(user, paused["id"]) == {}
    assert await EndpointHealths(store).of_id(paused["id"]) is None
    assert await actions(store, user) == [Action.WEBHOOK_CREATED, Action.WEBHOOK_RESUMED]


async def test_resuming_again_changes_nothing_more(user: User, store: Store, paused: Any) -> None:
    for _ in range(2):
        (await user.client.post(f"/webhooks/{paused['id']}/resume")).expect(200)
    assert (await actions(store, user)).count(Action.WEBHOOK_RESUMED) == 1


async def test_resuming_has_calls_begin_at_once_where_nothing_was_paused(
    user: User, store: Store
) -> None:
    webhook = await user.new_webhook()
    await fail(store, webhook["id"])
    before = await Webhooks(store).of_id(webhook["id"])
    (await user.client.post(f"/webhooks/{webhook['id']}/resume")).expect(200)
    assert await seen(user, webhook["id"]) == {}
    after = await Webhooks(store).of_id(webhook["id"])
    assert before is not None
    assert after is not None
    assert after.version > before.version  # a pause that was about to be written is refused
    assert await actions(store, user) == [Action.WEBHOOK_CREATED]


@pytest.mark.parametrize(
    "change", [{"active": True}, {"target_url": "https://example.com/other"}], ids=str
)
async def test_a_change_that_says_so_resumes_too(
    user: User, store: Store, paused: Any, change: dict[str, object]
) -> None:
    changed = (await user.client.put(f"/webhooks/{paused['id']}", change)).expect(200)
    assert "paused_at" not in changed
    assert "failing_since" not in changed
    assert await seen(user, paused["id"]) == {}
    assert (await actions(store, user))[1:] == [Action.WEBHOOK_UPDATED, Action.WEBHOOK_RESUMED]


@pytest.mark.parametrize(
    "change",
    [{"rate_limit": 5}, {"active": False}, {"target_url": "https://example.com/hook"}],
    ids=str,
)
async def test_another_change_does_not(
    user: User, store: Store, paused: Any, change: dict[str, object]
) -> None:
    changed = (await user.client.put(f"/webhooks/{paused['id']}", change)).expect(200)
    assert moment(changed["paused_at"]) == PAUSED_AT
    assert moment(changed["failing_since"]) == SINCE
    assert Action.WEBHOOK_RESUMED not in await actions(store, user)


async def test_a_program_needs_to_be_let_write(user: User, paused: Any) -> None:
    path = f"/webhooks/{paused['id']}/resume"
    reader = await user.new_token(scopes=["read"])
    reply = await user.client.with_token(reader["token"]).post(path)
    assert reply.failure == (403, "insufficient_scope")
    writer = await user.new_token(scopes=["write"])
    (await user.client.with_token(writer["token"]).post(path)).expect(200)


async def test_others_cannot_resume_it(user: User, resident: User, paused: Any) -> None:
    path = f"/webhooks/{paused['id']}/resume"
    assert (await resident.client.post(path)).failure == (404, "not_found")
    assert await seen(user, paused["id"]) == {"paused_at": PAUSED_AT, "failing_since": SINCE}


async def test_a_deleted_webhook_leaves_nothing_of_its_trouble(
    user: User, store: Store, paused: Any
) -> None:
    webhook = await Webhooks(store).of_id(paused["id"])
    assert webhook is not None
    await Notices(store).add(paused_notice(webhook, SINCE, None, utc_now() + timedelta(days=1)))
    (await user.client.delete(f"/webhooks/{paused['id']}")).expect(204)
    assert await EndpointHealths(store).of_id(paused["id"]) is None
    assert await store.collection("notices").find_one({"webhook_id": paused["id"]}) is None


async def test_a_delivery_that_waits_for_that_is_seen(user: User, mail: Mail, paused: Any) -> None:
    held, _ = await mail.handled(paused["id"], DeliveryState.PENDING, attempts=0, held_at=PAUSED_AT)
    base = f"/webhooks/{paused['id']}/deliveries"
    [listed] = (await user.client.get(f"{base}?state=pending")).expect(200)
    assert (listed["id"], listed["state"]) == (held.id, "pending")
    assert moment(listed["held_since"]) == PAUSED_AT
    assert "next_attempt_at" not in listed
    detail = (await user.client.get(f"{base}/{held.id}")).expect(200)
    assert moment(detail["held_since"]) == PAUSED_AT
    assert [event["event"] for event in detail["timeline"]] == ["received", "held"]
