"""Nobody sees or changes what is another account's, by any operation of the route table."""

from dataclasses import dataclass
from typing import Any

import pytest

from conduit.store.delivery_logs import DeliveryLogs
from conduit_api.operation import Operation, Private
from conduit_api.routes import OPERATIONS
from tests.integration.api.client import Client, User
from tests.integration.api.test_logs import new_attempt

# A good body for each operation that reads one, so that only the owner can be what is wrong.
BODIES = {
    "createDomainClaim": {"name": "isolation.example.com"},
    "createWebhook": {"target_url": "https://example.com/"},
    "deleteSession": {"refresh_token": "A" * 64},
    "updateWebhook": {"active": False},
}

PRIVATE = [operation for operation in OPERATIONS if isinstance(operation, Private)]
OF_AN_OBJECT = [operation for operation in PRIVATE if operation.parameters]
LISTS = [o for o in PRIVATE if o.method == "GET" and o.id.startswith("list") and not o.parameters]


@dataclass(frozen=True)
class Objects:
    """What somebody has, by the kind that a path is about."""

    webhook: str
    domain: str
    log: str

    def path(self, operation: Operation[Any]) -> str:
        """Return the operation's path with these objects in it."""
        kind = self.domain if "/domains/" in operation.path else self.webhook
        path = operation.path.removeprefix("/api/v1")
        return path.replace("{id}", kind).replace("{logId}", self.log)


async def objects_of(user: User, logs: DeliveryLogs) -> Objects:
    webhook, domain = await user.new_webhook(), await user.new_domain()
    attempt = new_attempt(webhook["id"])
    await logs.add([attempt])
    return Objects(webhook["id"], domain["id"], attempt.id)


async def perform(client: Client, operation: Operation[Any], path: str) -> tuple[int, str]:
    body = BODIES[operation.id] if operation.has_body else None
    return (await client.send(operation.method, path, body)).failure


@pytest.mark.parametrize("operation", OF_AN_OBJECT, ids=lambda operation: operation.id)
async def test_objects_of_others_are_not_found(
    operation: Operation[Any], user: User, resident: User, logs: DeliveryLogs
) -> None:
    objects = await objects_of(user, logs)
    path = objects.path(operation)
    assert "{" not in path
    assert await perform(resident.client, operation, path) == (404, "not_found")
    assert len((await user.client.get("/webhooks")).expect(200)) == 1
    assert len((await user.client.get("/domains")).expect(200)) == 1
    assert (await user.client.get(f"/webhooks/{objects.webhook}")).json["active"] is True


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.id)
async def test_lists_show_nothing_of_others(
    operation: Operation[Any], user: User, resident: User, logs: DeliveryLogs
) -> None:
    await objects_of(resident, logs)
    path = operation.path.removeprefix("/api/v1")
    assert (await user.client.get(path)).expect(200) == []
    assert (await resident.client.get(path)).expect(200)


@pytest.mark.parametrize("operation", PRIVATE, ids=lambda operation: operation.id)
async def test_strangers_are_turned_away(operation: Operation[Any], client: Client) -> None:
    path = operation.path.removeprefix("/api/v1").replace("{id}", "1").replace("{logId}", "1")
    assert await perform(client, operation, path) == (401, "unauthorized")
