"""Webhooks: what may be registered, what is told of it, and how it changes."""

import asyncio
import re
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from conduit.model.audit import Action
from conduit.model.record import utc_now
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit.store.webhooks import Webhooks
from tests.integration.api.client import User
from tests.integration.api.conftest import NewUser
from tests.integration.api.verifier import verify

URL = "https://example.com/hook"
NO_POLICY = "pol_01arz3ndektsv4rrffq69g5fav"
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
        "delivery_mode",
        "payload",
        "created_at",
        "updated_at",
    }
    ulid = webhook["id"].removeprefix("wh_")
    assert webhook["address"] == f"webhook-{ulid}@incoming.localhost"
    assert webhook["target_url"] == URL
    assert webhook["active"] is True
    assert webhook["rate_limit"] == 0
    assert webhook["custom_headers"] == {}
    assert webhook["delivery_mode"] == "queued"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", webhook["secret"])


async def test_all_fields_are_kept(resident: User, domain: str) -> None:
    fields = {
        "address": f"Alerts+x@{domain.upper()}",
        "target_url": URL,
        "secret": "0123456789abcdef",
        "active": False,
        "custom_headers": {"Authorization": "Bearer s3cret", "X-Env": "test"},
        "rate_limit": 60,
        "payload_template": '{"subject": {{toJson .Subject}}}',
        "delivery_mode": "queued",
        "smtp_security_policy_id": (await resident.new_policy())["id"],
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
        ({"target_url": "https://169.254.169.254/"}, (422, "invalid_target_url")),
        ({"target_url": 1}, (422, "validation_error")),
        ({"address": "nobody"}, (422, "invalid_address")),
        ({"address": "a@b@example.com"}, (422, "invalid_address")),
        ({"address": "hook@incoming.localhost"}, (422, "address_lhs_not_allowed")),
        ({"address": "hook@INCOMING.localhost"}, (422, "address_lhs_not_allowed")),
        ({"address": "hook@sub.incoming.localhost"}, (422, "domain_not_verified")),
        ({"address": "hook@unclaimed.example.com"}, (422, "domain_not_verified")),
        ({"address": "*@unclaimed.example.com"}, (422, "domain_not_verified")),
        ({"address": "*@incoming.localhost"}, (422, "address_lhs_not_allowed")),
        ({"address": "*"}, (422, "invalid_address")),
        ({"address": "*@*"}, (422, "invalid_address")),
        ({"address": "*@*.example.com"}, (422, "invalid_address")),
        ({"address": "İ" * 32 + "@example.com"}, (422, "invalid_address")),
        ({"address": "a@[192.0.2.1]"}, (422, "domain_not_verified")),
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
        ({"payload_template": "{{"}, (422, "invalid_payload_template")),
        ({"payload_template": "{{nothing}}"}, (422, "invalid_payload_template")),
        ({"payload_template": "no JSON"}, (422, "invalid_payload_template")),
        ({"payload_template": '{"text": "{{.Text}}"}'}, (422, "invalid_payload_template")),
        ({"payload_template": "x" * 65_537}, (422, "invalid_payload_template")),
        ({"payload_template": {}}, (422, "validation_error")),
        ({"rate_limit": -1}, (422, "validation_error")),
        ({"rate_limit": "1"}, (422, "validation_error")),
        ({"rate_limit": True}, (422, "validation_error")),
        ({"rate_limit": 10**30}, (422, "validation_error")),
        ({"delivery_mode": "never"}, (422, "validation_error")),
        ({"delivery_mode": "SYNC"}, (422, "validation_error")),
        ({"delivery_mode": None}, (422, "validation_error")),
        ({"smtp_security_policy_id": "pol_1"}, (422, "smtp_security_policy_not_found")),
        ({"smtp_security_policy_id": NO_POLICY}, (422, "smtp_security_policy_not_found")),
        ({"smtp_security_policy_id": None}, (422, "validation_error")),
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
        "payload_template": "{{toJson .}}",
        "delivery_mode": "sync_then_queued",
        "smtp_security_policy_id": (await resident.new_policy())["id"],
    }
    path = f"/webhooks/{webhook['id']}"
    updated = (await resident.client.put(path, changes)).expect(200)
    assert {name: updated[name] for name in changes} == changes
    assert "secret" not in (await resident.client.get(path)).json


@pytest.mark.parametrize("mode", ["queued", "sync", "sync_then_queued"])
async def test_each_delivery_mode_can_be_chosen_and_left(resident: User, mode: str) -> None:
    webhook = await resident.new_webhook(delivery_mode=mode)
    assert webhook["delivery_mode"] == mode
    path = f"/webhooks/{webhook['id']}"
    (await resident.client.put(path, {"rate_limit": 7})).expect(200)
    assert (await resident.client.get(path)).json["delivery_mode"] == mode
    other = "queued" if mode == "sync" else "sync"
    changed = (await resident.client.put(path, {"delivery_mode": other})).expect(200)
    assert changed["delivery_mode"] == other


async def test_an_empty_update_is_fine(resident: User) -> None:
    webhook = await resident.new_webhook()
    (await resident.client.put(f"/webhooks/{webhook['id']}", {})).expect(200)
    cleared = {"clear_security_policy": True}
    (await resident.client.put(f"/webhooks/{webhook['id']}", cleared)).expect(200)


async def test_what_was_read_may_be_sent_back(resident: User) -> None:
    webhook = await resident.new_webhook()
    body = {name: webhook[name] for name in ("address", "target_url", "active", "rate_limit")}
    (await resident.client.put(f"/webhooks/{webhook['id']}", body)).expect(200)


async def test_a_template_is_checked_and_its_mistake_told_with_the_line(resident: User) -> None:
    body = {"target_url": URL, "payload_template": '{\n  "from": {{toJson .From}},\n  {{end}}\n}'}
    reply = await resident.client.post("/webhooks", body)
    assert reply.failure == (422, "invalid_payload_template")
    assert "line 3: unexpected {{end}}" in reply.json["error"]


async def test_an_empty_template_brings_back_conduits_own_json(resident: User) -> None:
    webhook = await resident.new_webhook(payload_template="{{toJson .Subject}}")
    assert webhook["payload_template"] == "{{toJson .Subject}}"
    path = f"/webhooks/{webhook['id']}"
    kept = (await resident.client.put(path, {"active": False})).expect(200)
    assert kept["payload_template"] == webhook["payload_template"]
    cleared = (await resident.client.put(path, {"payload_template": ""})).expect(200)
    assert "payload_template" not in cleared


async def test_a_template_that_never_ends_holds_up_nobody(resident: User) -> None:
    endless = "{{range 1000}}{{range 1000}}{{range 1000}}1{{end}}{{end}}{{end}}"
    body = {"target_url": URL, "payload_template": endless}
    begun = time.monotonic()
    refused, fine = await asyncio.gather(
        resident.client.post("/webhooks", body), resident.client.get("/accounts/me")
    )
    assert refused.failure == (422, "invalid_payload_template")
    assert fine.status == 200
    assert time.monotonic() - begun < 10


async def test_a_policy_is_attached_changed_and_detached(resident: User) -> None:
    one, other = await resident.new_policy(), await resident.new_policy()
    webhook = await resident.new_webhook(smtp_security_policy_id=one["id"])
    path = f"/webhooks/{webhook['id']}"

    async def policy_after(**changes: object) -> str | None:
        (await resident.client.put(path, changes)).expect(200)
        policy: str | None = (await resident.client.get(path)).json.get("smtp_security_policy_id")
        return policy

    assert await policy_after(active=True) == one["id"]
    assert await policy_after(clear_security_policy=False) == one["id"]
    assert await policy_after(smtp_security_policy_id=other["id"]) == other["id"]
    assert await policy_after(clear_security_policy=True, smtp_security_policy_id="") is None


async def test_a_policy_is_not_attached_and_detached_at_once(resident: User) -> None:
    policy = await resident.new_policy()
    webhook = await resident.new_webhook(smtp_security_policy_id=policy["id"])
    both = {"smtp_security_policy_id": policy["id"], "clear_security_policy": True}
    path = f"/webhooks/{webhook['id']}"
    reply = await resident.client.put(path, both)
    assert reply.failure == (422, "contradictory_fields")
    assert (await resident.client.get(path)).json["smtp_security_policy_id"] == policy["id"]


async def test_a_policy_of_another_account_cannot_be_attached(
    resident: User, new_user: NewUser
) -> None:
    policy = await (await new_user()).new_policy()
    body = {"target_url": URL, "smtp_security_policy_id": policy["id"]}
    created = await resident.client.post("/webhooks", body)
    assert created.failure == (422, "smtp_security_policy_not_found")


async def test_a_policy_that_is_deleted_meanwhile_is_not_attached(
    resident: User,
) -> None:
    for _ in range(10):
        policy = await resident.new_policy()
        body = {"target_url": URL, "smtp_security_policy_id": policy["id"]}
        created, deleted = await asyncio.gather(
            resident.client.post("/webhooks", body),
            resident.client.delete(f"/smtp-policies/{policy['id']}"),
        )
        assert (created.status, deleted.status) in {(201, 409), (422, 204), (422, 409)}


async def test_a_rotation_gives_a_new_secret_and_keeps_the_old_for_a_day(
    resident: User, store: Store
) -> None:
    webhook = await resident.new_webhook(rate_limit=5)
    path = f"/webhooks/{webhook['id']}"
    rotated = (await resident.client.post(f"{path}/rotate-secret")).expect(200)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", rotated["secret"])
    assert rotated["secret"] != webhook["secret"]
    changing = ("secret", "updated_at")
    for one in (webhook, rotated):
        one["told"] = [one.pop(name) for name in changing]
    assert rotated | {"told": None} == webhook | {"told": None}
    assert "secret" not in (await resident.client.get(path)).json
    kept = await Webhooks(store).of_id(webhook["id"])
    assert kept is not None
    assert kept.previous_secret_until is not None
    lasting = kept.previous_secret_until - utc_now()
    assert timedelta(hours=23, minutes=59) < lasting <= timedelta(hours=24)
    assert len(kept.signing_secrets(utc_now())) == 2
    assert len(kept.signing_secrets(kept.previous_secret_until)) == 1
    assert rotated["told"][0] not in kept.model_dump_json()


async def test_a_secret_of_ones_own_replaces_all_others_at_once(
    resident: User, store: Store
) -> None:
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"
    (await resident.client.post(f"{path}/rotate-secret")).expect(200)
    (await resident.client.put(path, {"secret": "fedcba9876543210"})).expect(200)
    kept = await Webhooks(store).of_id(webhook["id"])
    assert kept is not None
    assert len(kept.signing_secrets(utc_now())) == 1


async def test_a_catch_all_is_an_address_as_any_other(resident: User, domain: str) -> None:
    webhook = await resident.new_webhook(address=f"*@{domain.upper()}")
    assert webhook["address"] == f"*@{domain}"
    for same in (f"*@{domain}", f'"*"@{domain}'):
        taken = await resident.client.post("/webhooks", {"target_url": URL, "address": same})
        assert taken.failure == (409, "address_taken")
    for beside in (f"a*@{domain}", f"alerts@{domain}", f"alerts+x@{domain}"):
        assert (await resident.new_webhook(address=beside))["address"] == beside
    path, kept = f"/webhooks/{webhook['id']}", {"address": webhook["address"]}
    assert (await resident.client.put(path, kept)).expect(200)["address"] == f"*@{domain}"


async def test_ways_to_write_an_address_are_one_address(resident: User, domains: Domains) -> None:
    claim = await resident.new_domain(f"xn--exmple-cua.{uuid4().hex}.example.com")
    await verify(domains, claim["id"])
    parent = claim["name"].partition(".")[2]
    webhook = await resident.new_webhook(address=f"É@exämple.{parent}")
    assert webhook["address"] == f"é@xn--exmple-cua.{parent}"
    for domain in ("exämple", "exa\u0308mple", "EXÄMPLE", "XN--EXMPLE-CUA"):
        for local in ("é", "É", "e\u0301", "E\u0301"):
            body = {"target_url": URL, "address": f"{local}@{domain}.{parent}"}
            taken = await resident.client.post("/webhooks", body)
            assert taken.failure == (409, "address_taken")


@pytest.mark.parametrize("local", ["alerts", "*"])
async def test_a_new_owner_of_a_domain_gets_the_addresses_of_the_former_one(
    new_user: NewUser, domains: Domains, local: str
) -> None:
    former, owner = await new_user(), await new_user()
    claim = await former.new_domain()
    name = claim["name"]
    claims = [claim, await owner.new_domain(name)]
    await verify(domains, claim["id"])
    leftover = await former.new_webhook(address=f"{local}@{name}")
    body = {"target_url": URL, "address": f"{local}@{name}"}

    await verify(domains, claims[0]["id"], verified=False)
    assert (await owner.client.post("/webhooks", body)).failure == (422, "domain_not_verified")

    await verify(domains, claims[1]["id"])
    taken = (await owner.client.post("/webhooks", body)).expect(201)
    assert taken["address"] == f"{local}@{name}"
    left = (await former.client.get(f"/webhooks/{leftover['id']}")).expect(200)
    assert left["address"] == f"webhook-{leftover['id'].removeprefix('wh_')}@incoming.localhost"
    assert left["target_url"] == leftover["target_url"]
    again = await former.client.put(f"/webhooks/{leftover['id']}", {"address": f"{local}@{name}"})
    assert again.failure == (422, "domain_not_verified")


async def test_a_former_owner_is_told_of_the_loss_but_not_by_whom(
    new_user: NewUser, domains: Domains, store: Store
) -> None:
    former, owner = await new_user(), await new_user()
    claims = [await former.new_domain()]
    name = claims[0]["name"]
    claims.append(await owner.new_domain(name))
    await verify(domains, claims[0]["id"])
    leftover = await former.new_webhook(address=f"alerts@{name}")
    moving = await owner.new_webhook()
    await verify(domains, claims[0]["id"], verified=False)
    await verify(domains, claims[1]["id"])
    path, change = f"/webhooks/{moving['id']}", {"address": f"alerts@{name}"}
    assert (await owner.client.put(path, change)).expect(200)["address"] == f"alerts@{name}"
    entry = (await AuditLog(store).newest(former.id, 1))[0]
    assert entry.action is Action.WEBHOOK_ADDRESS_LOST
    assert entry.subject == leftover["id"]
    assert entry.details == {"address": f"alerts@{name}"}
    assert (entry.remote_ip, entry.user_agent) == ("", "")


async def test_what_changes_security_is_in_the_audit_log(user: User, store: Store) -> None:
    policy = await user.new_policy()
    webhook = await user.new_webhook(smtp_security_policy_id=policy["id"])
    claim = await user.new_domain()
    path = f"/webhooks/{webhook['id']}"
    await user.client.put(path, {"active": False})
    await user.client.post(f"{path}/rotate-secret")
    await user.client.put(f"/smtp-policies/{policy['id']}", {"name": "home"})
    await user.client.delete(path)
    await user.client.delete(f"/smtp-policies/{policy['id']}")
    await user.client.delete(f"/domains/{claim['id']}")
    entries = (await AuditLog(store).newest(user.id, 20))[::-1]
    expected = [
        (Action.POLICY_CREATED, policy["id"]),
        (Action.WEBHOOK_CREATED, webhook["id"]),
        (Action.DOMAIN_CLAIMED, claim["id"]),
        (Action.WEBHOOK_UPDATED, webhook["id"]),
        (Action.WEBHOOK_SECRET_ROTATED, webhook["id"]),
        (Action.POLICY_UPDATED, policy["id"]),
        (Action.WEBHOOK_DELETED, webhook["id"]),
        (Action.POLICY_DELETED, policy["id"]),
        (Action.DOMAIN_DELETED, claim["id"]),
    ]
    kinds = ("webhook.", "policy.", "domain.")
    found = [(entry.action, entry.subject) for entry in entries if entry.action.startswith(kinds)]
    assert found == expected


async def test_parallel_updates_lose_no_field(resident: User) -> None:
    policy = await resident.new_policy()
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"
    changes: list[dict[str, object]] = [
        {"target_url": f"https://{uuid4().hex}.example/"},
        {"active": False},
        {"rate_limit": 99},
        {"custom_headers": {"X-A": "1"}},
        {"smtp_security_policy_id": policy["id"]},
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
    for operation in ("rotate-secret", "simulate"):
        reply = await resident.client.post(f"{path}/{operation}")
        assert reply.failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")
