"""Webhooks: what may be registered, what is told of it, and how it changes."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit.store.webhooks import Webhooks
from tests.integration.api.client import User
from tests.integration.api.conftest import NewUser
from tests.integration.api.verifier import verify

URL = "https://example.com/hook"
NOWHERE = "/webhooks/wh_01arz3ndektsv4rrffq69g5fav"


@pytest.fixture
async def domain(resident: User, domains: Domains) -> str:
    """The name of a domain that the resident has verified."""
    claim = await resident.new_domain()
    await verify(domains, claim["id"])
    return str(claim["name"])


async def test_a_url_is_enough_for_a_webhook(resident: User) -> None:
    webhook = (await resident.client.post("/webhooks", {"target_url": URL})).expect(201)
    assert set(webhook) == {
        "id",
        "address",
        "target_url",
        "secret",
        "active",
        "custom_headers",
        "rate_limit",
        "created_at",
        "updated_at",
    }
    ulid = webhook["id"].removeprefix("wh_")
    assert webhook["address"] == f"webhook-{ulid}@incoming.localhost"
    assert webhook["target_url"] == URL
    assert webhook["active"] is True
    assert webhook["rate_limit"] == 0
    assert webhook["custom_headers"] == {}
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", webhook["secret"])


async def test_all_fields_are_kept(resident: User, domain: str) -> None:
    fields = {
        "address": f"Alerts+x@{domain.upper()}",
        "target_url": URL,
        "secret": "0123456789abcdef",
        "active": False,
        "custom_headers": {"Authorization": "Bearer s3cret", "X-Env": "test"},
        "rate_limit": 60,
    }
    webhook = (await resident.client.post("/webhooks", fields)).expect(201)
    expected = fields | {"address": f"alerts+x@{domain}"}
    assert {name: webhook[name] for name in fields} == expected
    read = (await resident.client.get(f"/webhooks/{webhook['id']}")).expect(200)
    assert read == {name: value for name, value in webhook.items() if name != "secret"}


async def test_secrets_are_sealed_in_the_store(resident: User, store: Store) -> None:
    webhook = await resident.new_webhook(custom_headers={"Authorization": "Bearer s3cret"})
    kept = await Webhooks(store).of_id(webhook["id"])
    assert kept is not None
    text = kept.model_dump_json()
    assert "s3cret" not in text
    assert webhook["secret"] not in text


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"target_url": "http://example.com/"}, (422, "invalid_target_url")),
        ({"target_url": "https://user:pass@example.com/"}, (422, "invalid_target_url")),
        ({"target_url": 1}, (422, "validation_error")),
        ({"address": "nobody"}, (422, "invalid_address")),
        ({"address": "a@b@example.com"}, (422, "invalid_address")),
        ({"address": "hook@incoming.localhost"}, (422, "address_lhs_not_allowed")),
        ({"address": "hook@INCOMING.localhost"}, (422, "address_lhs_not_allowed")),
        ({"address": "hook@sub.incoming.localhost"}, (422, "domain_not_verified")),
        ({"address": "hook@unclaimed.example.com"}, (422, "domain_not_verified")),
        ({"address": None}, (422, "validation_error")),
        ({"secret": "tooshort"}, (422, "validation_error")),
        ({"secret": "x" * 257}, (422, "validation_error")),
        ({"secret": "with space in it"}, (422, "validation_error")),
        ({"active": "yes"}, (422, "validation_error")),
        ({"active": 1}, (422, "validation_error")),
        ({"custom_headers": {"Host": "x"}}, (422, "invalid_custom_headers")),
        ({"custom_headers": {"X-A": "1\r\nX-B: 2"}}, (422, "invalid_custom_headers")),
        ({"custom_headers": {"X-A": 1}}, (422, "validation_error")),
        ({"custom_headers": ["X-A"]}, (422, "validation_error")),
        ({"payload_template": "{}"}, (422, "payload_template_not_available")),
        ({"rate_limit": -1}, (422, "validation_error")),
        ({"rate_limit": "1"}, (422, "validation_error")),
        ({"rate_limit": True}, (422, "validation_error")),
        ({"rate_limit": 10**30}, (422, "validation_error")),
        ({"smtp_security_policy_id": "pol_1"}, (422, "smtp_security_policy_not_found")),
        ({"id": "wh_1"}, (422, "unknown_field")),
    ],
)
async def test_wrong_values_are_refused_at_creation_and_update(
    resident: User, changes: dict[str, Any], failure: tuple[int, str]
) -> None:
    created = await resident.client.post("/webhooks", {"target_url": URL} | changes)
    assert created.failure == failure
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"
    assert (await resident.client.put(path, changes)).failure == failure
    del webhook["secret"]
    assert (await resident.client.get(path)).json == webhook


async def test_a_url_is_required(resident: User) -> None:
    reply = await resident.client.post("/webhooks", {})
    assert reply.failure == (400, "missing_field")
    assert "target_url" in reply.json["error"]


async def test_empty_options_are_as_good_as_none(resident: User) -> None:
    await resident.new_webhook(payload_template="", smtp_security_policy_id="", custom_headers={})


async def test_a_domain_that_another_account_verified_is_not_ours(
    new_user: NewUser, domain: str
) -> None:
    other = await new_user()
    body = {"target_url": URL, "address": f"hook@{domain}"}
    assert (await other.client.post("/webhooks", body)).failure == (422, "domain_not_verified")


async def test_a_claim_alone_does_not_do(resident: User) -> None:
    claim = await resident.new_domain()
    body = {"target_url": URL, "address": f"hook@{claim['name']}"}
    assert (await resident.client.post("/webhooks", body)).failure == (422, "domain_not_verified")


async def test_an_address_has_one_webhook(resident: User, domain: str) -> None:
    await resident.new_webhook(address=f"hook@{domain}")
    again = {"target_url": URL, "address": f"HOOK@{domain}"}
    assert (await resident.client.post("/webhooks", again)).failure == (409, "address_taken")
    other = await resident.new_webhook(address=f"other@{domain}")
    reply = await resident.client.put(f"/webhooks/{other['id']}", {"address": f"hook@{domain}"})
    assert reply.failure == (409, "address_taken")


async def test_lists_have_all_of_ones_own_oldest_first(user: User) -> None:
    assert (await user.client.get("/webhooks")).expect(200) == []
    webhooks = [await user.new_webhook() for _ in range(3)]
    for webhook in webhooks:
        del webhook["secret"]
    assert (await user.client.get("/webhooks")).expect(200) == webhooks


async def test_an_update_changes_what_it_names(resident: User, domain: str) -> None:
    webhook = await resident.new_webhook(custom_headers={"X-A": "1"}, rate_limit=5)
    path, changes = f"/webhooks/{webhook['id']}", {"active": False, "address": f"a@{domain}"}
    updated = (await resident.client.put(path, changes)).expect(200)
    assert updated.pop("updated_at") > webhook.pop("updated_at")
    del webhook["secret"]
    assert updated == webhook | changes


async def test_an_update_with_everything_changes_everything(resident: User, domain: str) -> None:
    webhook = await resident.new_webhook(custom_headers={"X-A": "1"})
    changes = {
        "address": f"all@{domain}",
        "target_url": "https://example.org/",
        "secret": "fedcba9876543210",
        "active": False,
        "custom_headers": {"X-B": "2"},
        "rate_limit": 7,
    }
    path = f"/webhooks/{webhook['id']}"
    updated = (await resident.client.put(path, changes)).expect(200)
    assert {name: updated[name] for name in changes} == changes
    assert "secret" not in (await resident.client.get(path)).json


async def test_an_empty_update_is_fine(resident: User) -> None:
    webhook = await resident.new_webhook()
    (await resident.client.put(f"/webhooks/{webhook['id']}", {})).expect(200)
    cleared = {"clear_security_policy": True}
    (await resident.client.put(f"/webhooks/{webhook['id']}", cleared)).expect(200)


async def test_what_was_read_may_be_sent_back(resident: User) -> None:
    webhook = await resident.new_webhook()
    body = {name: webhook[name] for name in ("address", "target_url", "active", "rate_limit")}
    (await resident.client.put(f"/webhooks/{webhook['id']}", body)).expect(200)


async def test_parallel_updates_lose_no_field(resident: User) -> None:
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"
    changes: list[dict[str, object]] = [
        {"target_url": f"https://{uuid4().hex}.example/"},
        {"active": False},
        {"rate_limit": 99},
        {"custom_headers": {"X-A": "1"}},
    ]
    replies = await asyncio.gather(*(resident.client.put(path, change) for change in changes * 3))
    assert {reply.status for reply in replies} == {200}
    read = (await resident.client.get(path)).json
    for change in changes:
        assert read | change == read


async def test_a_deleted_webhook_is_gone(resident: User) -> None:
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"
    reply = await resident.client.delete(path)
    assert (reply.status, reply.octets) == (204, b"")
    assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")


async def test_an_address_is_free_after_its_webhook_is_deleted(resident: User, domain: str) -> None:
    webhook = await resident.new_webhook(address=f"again@{domain}")
    await resident.client.delete(f"/webhooks/{webhook['id']}")
    await resident.new_webhook(address=f"again@{domain}")


@pytest.mark.parametrize("path", [NOWHERE, "/webhooks/wh_1", "/webhooks/%00", "/webhooks/%ff"])
async def test_what_is_not_there_is_not_found(resident: User, path: str) -> None:
    assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.put(path, {"active": True})).failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")
