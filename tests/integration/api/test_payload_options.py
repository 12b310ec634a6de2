"""What users say of their webhooks' calls: taken, kept, changed in parts, and refused."""

from typing import Any

import pytest

from conduit.model.payload_options import SMALLEST_BODY
from conduit.settings import PayloadSettings
from conduit.store.connection import Store
from conduit.store.webhooks import Webhooks
from tests.integration.api.client import User

EVERYTHING = {"text": True, "html": True, "headers": True, "attachments": "inline"}
MOST = PayloadSettings()


async def test_without_options_calls_have_everything(resident: User) -> None:
    webhook = await resident.new_webhook()
    assert webhook["payload"] == EVERYTHING
    [listed] = [
        each
        for each in (await resident.client.get("/webhooks")).expect(200)
        if each["id"] == webhook["id"]
    ]
    assert listed["payload"] == EVERYTHING


async def test_options_are_kept(resident: User, store: Store) -> None:
    options = {
        "text": False,
        "html": False,
        "headers": False,
        "attachments": "links",
        "attachment_limit": 1_000,
        "body_limit": SMALLEST_BODY,
    }
    webhook = await resident.new_webhook(payload=options)
    assert webhook["payload"] == options
    assert (await resident.client.get(f"/webhooks/{webhook['id']}")).json["payload"] == options
    stored = await Webhooks(store).of_id(webhook["id"])
    assert stored is not None
    assert stored.payload.model_dump() == options


async def test_an_update_changes_what_it_names(resident: User) -> None:
    webhook = await resident.new_webhook(payload={"html": False, "body_limit": 100_000})
    path = f"/webhooks/{webhook['id']}"

    async def updated(**fields: object) -> Any:
        return (await resident.client.put(path, fields)).expect(200)["payload"]

    before = EVERYTHING | {"html": False, "body_limit": 100_000}
    assert await updated(active=True) == before
    assert await updated(payload={}) == before
    changed = await updated(payload={"attachments": "none", "attachment_limit": 10})
    assert changed == before | {"attachments": "none", "attachment_limit": 10}
    changed = await updated(payload={"body_limit": 0, "html": True})
    assert changed == EVERYTHING | {"attachments": "none", "attachment_limit": 10}
    changed = await updated(payload={"attachment_limit": 0, "attachments": "inline"})
    assert changed == EVERYTHING


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"html": "no"}, "validation_error", "payload.html: Input should be a valid boolean"),
        ({"html": None}, "validation_error", "payload.html"),
        ({"attachments": "zip"}, "validation_error", "'inline', 'links' or 'none'"),
        ({"attachment_limit": -1}, "validation_error", "payload.attachment_limit: "),
        ({"attachment_limit": 1.5}, "validation_error", "payload.attachment_limit: "),
        ({"attachment_limit": "10"}, "validation_error", "payload.attachment_limit: "),
        (
            {"attachment_limit": MOST.webhook_attachment_limit + 1},
            "payload_limit_too_high",
            f"payload.attachment_limit: The operator allows {MOST.webhook_attachment_limit}",
        ),
        (
            {"body_limit": MOST.webhook_body_limit + 1},
            "payload_limit_too_high",
            f"payload.body_limit: The operator allows {MOST.webhook_body_limit} at most",
        ),
        (
            {"body_limit": SMALLEST_BODY - 1},
            "payload_limit_too_low",
            f"payload.body_limit: {SMALLEST_BODY} is the least",
        ),
        ({"body": "none"}, "unknown_field", "payload.body is not a field"),
        ("none", "validation_error", "payload must be a JSON object."),
    ],
)
async def test_wrong_options_are_refused(
    resident: User, options: object, code: str, text: str
) -> None:
    webhook = await resident.new_webhook()
    for reply in (
        await resident.client.put(f"/webhooks/{webhook['id']}", {"payload": options}),
        await resident.client.post(
            "/webhooks", {"target_url": "https://example.com/", "payload": options}
        ),
    ):
        assert reply.failure == (422, code)
        assert text in reply.json["error"]
    unchanged = (await resident.client.get(f"/webhooks/{webhook['id']}")).expect(200)
    assert unchanged["payload"] == EVERYTHING
