"""Nobody sees or changes what is another account's, by any operation of the route table."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, get_origin

import pytest

from conduit_api.operation import Operation, Private
from conduit_api.routes import OPERATIONS
from tests.integration.api.client import Client, User
from tests.integration.api.dispatcher import Dispatcher
from tests.integration.api.mail import Mail
from tests.integration.api.verifier import Verifier

# A good body for each operation that reads one, so that only the owner can be what is wrong.
BODIES = {
    "createApiToken": {"name": "ci"},
    "createDomainClaim": {"name": "isolation.example.com"},
    "changePassword": {"current_password": "not the password", "new_password": "another password"},
    "createSmtpSecurityPolicy": {"name": "office"},
    "deleteAccount": {"password": "not the password"},
    "createWebhook": {"target_url": "https://example.com/"},
    "deleteSession": {"refresh_token": "A" * 64},
    "disableTOTP": {"code": "000000"},
    "enableTOTP": {"code": "000000"},
    "regenerateBackupCodes": {"code": "000000"},
    "replayDeliveries": {},
    "simulateWebhook": {},
    "updateTimezone": {"timezone": "Europe/Berlin"},
    "updateSmtpSecurityPolicy": {"require_spf": True},
    "updateWebhook": {"active": False},
}

PRIVATE = [operation for operation in OPERATIONS if isinstance(operation, Private)]
OF_AN_OBJECT = [operation for operation in PRIVATE if operation.parameters]
BELOW_AN_OBJECT = [operation for operation in OF_AN_OBJECT if len(operation.parameters) > 1]
LISTS = [o for o in PRIVATE if get_origin(o.output) is list and not o.parameters]


@dataclass(frozen=True)
class Objects:
    """What somebody has, by the kind that a path is about."""

    webhook: str
    domain: str
    policy: str
    token: str
    delivery: str
    log: str

    def path(self, operation: Operation[Any]) -> str:
        """Return the operation's path with these objects in it."""
        path = operation.path.removeprefix("/api/v1")
        ids = {
            "id": {
                "api-tokens": self.token,
                "domains": self.domain,
                "smtp-policies": self.policy,
                "webhooks": self.webhook,
            }.get(path.split("/")[1]),
            "deliveryId": self.delivery,
            "logId": self.log,
        }
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", ids[name] or f"{{{name}}}")
        assert "{" not in path, "a new kind of object: extend Objects"
        return path

    def ids(self) -> set[str]:
        """Return all ids that nobody else may see."""
        return {getattr(self, field.name) for field in fields(self)}


async def objects_of(user: User, mail: Mail) -> Objects:
    webhook, domain = await user.new_webhook(), await user.new_domain()
    policy, token = await user.new_policy(), await user.new_token()
    delivery, [attempt] = await mail.handled(webhook["id"])
    return Objects(
        webhook=webhook["id"],
        domain=domain["id"],
        policy=policy["id"],
        token=token["id"],
        delivery=delivery.id,
        log=attempt.id,
    )


async def perform(client: Client, operation: Operation[Any], path: str) -> tuple[int, str]:
    body = BODIES[operation.id] if operation.has_body else None
    return (await client.send(operation.method, path, body)).failure


@pytest.mark.parametrize("operation", OF_AN_OBJECT, ids=lambda operation: operation.id)
async def test_objects_of_others_are_not_found(
    operation: Operation[Any], user: User, resident: User, mail: Mail
) -> None:
    objects = await objects_of(user, mail)
    path = objects.path(operation)
    assert await perform(resident.client, operation, path) == (404, "not_found")
    assert len((await user.client.get("/webhooks")).expect(200)) == 1
    assert len((await user.client.get("/domains")).expect(200)) == 1
    [policy] = (await user.client.get("/smtp-policies")).expect(200)
    assert policy["require_spf"] is False
    assert len((await user.client.get("/api-tokens")).expect(200)) == 1
    assert (await user.client.get(f"/webhooks/{objects.webhook}")).json["active"] is True


@pytest.mark.parametrize("operation", OF_AN_OBJECT, ids=lambda operation: operation.id)
async def test_their_owner_finds_them(
    operation: Operation[Any],
    user: User,
    mail: Mail,
    dispatcher: Dispatcher,
    verifier: Verifier,
) -> None:
    path = (await objects_of(user, mail)).path(operation)
    body = BODIES[operation.id] if operation.has_body else None
    assert (await user.client.send(operation.method, path, body)).status == operation.status


@pytest.mark.parametrize("operation", BELOW_AN_OBJECT, ids=lambda operation: operation.id)
async def test_objects_of_others_are_not_found_below_own_ones(
    operation: Operation[Any], user: User, resident: User, mail: Mail
) -> None:
    own = await resident.new_webhook()
    path = replace(await objects_of(user, mail), webhook=own["id"]).path(operation)
    assert await perform(resident.client, operation, path) == (404, "not_found")


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.id)
async def test_lists_show_nothing_of_others(
    operation: Operation[Any], user: User, resident: User, mail: Mail
) -> None:
    hidden = (await objects_of(resident, mail)).ids() | {resident.id}
    path = operation.path.removeprefix("/api/v1")
    shown = [(await who.client.get(path)) for who in (user, resident)]
    assert [reply.status for reply in shown] == [200, 200]
    others, own = ({id_ for id_ in hidden if id_.encode() in reply.octets} for reply in shown)
    assert not others
    assert own


@pytest.mark.parametrize("operation", PRIVATE, ids=lambda operation: operation.id)
async def test_strangers_are_turned_away(operation: Operation[Any], client: Client) -> None:
    path = re.sub(r"\{\w+\}", "1", operation.path.removeprefix("/api/v1"))
    assert await perform(client, operation, path) == (401, "unauthorized")
