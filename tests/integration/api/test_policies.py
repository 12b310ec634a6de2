"""SMTP security policies: what may be asked of senders, and how hashes stay hidden."""

import asyncio
from typing import Any

import bcrypt
import pytest

from conduit.store.connection import Store
from conduit.store.smtp_policies import SmtpPolicies
from tests.integration.api.client import Reply, User

NOWHERE = "/smtp-policies/pol_01arz3ndektsv4rrffq69g5fav"
HASH = "$2b$10$EfPxbWI5m5iF8FV3Ffy5G.ZEh.GMebYugorKlGrrwzunT9ECTyx2y"


def path_of(policy: dict[str, Any]) -> str:
    return f"/smtp-policies/{policy['id']}"


async def hashes_of(store: Store, policy: dict[str, Any]) -> dict[str, str]:
    policies = await SmtpPolicies(store).of_account(policy["account_id"])
    kept = next(one for one in policies if one.id == policy["id"])
    return {credential.username: credential.password_hash for credential in kept.credentials}


async def test_a_name_is_enough_for_a_policy(resident: User) -> None:
    policy = (await resident.client.post("/smtp-policies", {"name": "office"})).expect(201)
    assert policy["id"].startswith("pol_")
    assert policy["created_at"] == policy["updated_at"]
    del policy["id"], policy["created_at"], policy["updated_at"]
    assert policy == {
        "name": "office",
        "allowed_source_ips": "",
        "require_smtp_auth": False,
        "smtp_credentials": "",
        "require_spf": False,
        "allowed_spf_domains": "",
        "require_dkim": False,
        "allowed_dkim_domains": "",
    }


async def test_all_fields_are_kept_in_their_normal_form(resident: User) -> None:
    fields = {
        "name": "Büro",
        "allowed_source_ips": "192.0.2.1, 2001:DB8::/32",
        "require_smtp_auth": True,
        "smtp_credentials": f"alice:{HASH},bob:a long password",
        "require_spf": True,
        "allowed_spf_domains": "Example.COM,münchen.de",
        "require_dkim": True,
        "allowed_dkim_domains": "mail.example.com",
    }
    policy = await resident.new_policy(**fields)
    expected = fields | {
        "allowed_source_ips": "192.0.2.1/32,2001:db8::/32",
        "smtp_credentials": "alice:********,bob:********",
        "allowed_spf_domains": "example.com,xn--mnchen-3ya.de",
    }
    assert {name: policy[name] for name in fields} == expected
    assert (await resident.client.get(path_of(policy))).expect(200) == policy


async def test_passwords_are_hashed_and_hashes_are_kept(resident: User, store: Store) -> None:
    policy = await resident.new_policy(smtp_credentials=f"alice:{HASH},bob:a long password")
    hashes = await hashes_of(store, policy | {"account_id": resident.id})
    assert hashes["alice"] == HASH
    assert bcrypt.checkpw(b"a long password", hashes["bob"].encode())


async def test_what_was_read_can_be_sent_back(resident: User, store: Store) -> None:
    fields = {
        "allowed_source_ips": "10.0.0.0/8",
        "require_smtp_auth": True,
        "smtp_credentials": f"alice:{HASH}",
        "allowed_spf_domains": "example.com",
    }
    policy = await resident.new_policy(**fields)
    body = {name: value for name, value in policy.items() if name not in READ_ONLY}
    updated = (await resident.client.put(path_of(policy), body)).expect(200)
    assert {name: updated[name] for name in body} == body
    owned = policy | {"account_id": resident.id}
    assert await hashes_of(store, owned) == {"alice": HASH}

    more = {"smtp_credentials": "carol:a new password,alice:********"}
    updated = (await resident.client.put(path_of(policy), more)).expect(200)
    assert updated["smtp_credentials"] == "carol:********,alice:********"
    assert (await hashes_of(store, owned))["alice"] == HASH

    gone = {"smtp_credentials": "carol:********"}
    (await resident.client.put(path_of(policy), gone)).expect(200)
    reply = await resident.client.put(path_of(policy), more | {"name": "x"})
    assert reply.failure == (422, "invalid_smtp_credentials")
    assert "alice" in reply.json["error"]


READ_ONLY = {"id", "created_at", "updated_at"}


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"name": ""}, (422, "validation_error")),
        ({"name": "x" * 101}, (422, "validation_error")),
        ({"name": "two\nlines"}, (422, "validation_error")),
        ({"name": None}, (422, "validation_error")),
        ({"allowed_source_ips": "10.0.0.1/8"}, (422, "invalid_allowed_source_ips")),
        ({"allowed_source_ips": "10.0.0.0/8,"}, (422, "invalid_allowed_source_ips")),
        ({"allowed_source_ips": ["10.0.0.0/8"]}, (422, "validation_error")),
        ({"allowed_source_ips": " " * 65_537}, (422, "validation_error")),
        ({"require_smtp_auth": True}, (422, "smtp_credentials_required")),
        ({"require_smtp_auth": "yes"}, (422, "validation_error")),
        ({"smtp_credentials": "alice"}, (422, "invalid_smtp_credentials")),
        ({"smtp_credentials": "alice:short"}, (422, "invalid_smtp_credentials")),
        ({"smtp_credentials": "alice:********"}, (422, "invalid_smtp_credentials")),
        ({"smtp_credentials": f"alice:{HASH},alice:{HASH}"}, (422, "invalid_smtp_credentials")),
        ({"smtp_credentials": HASH.replace("$10", "a:$2b$14")}, (422, "invalid_smtp_credentials")),
        ({"require_spf": 1}, (422, "validation_error")),
        ({"allowed_spf_domains": "com"}, (422, "invalid_allowed_spf_domains")),
        ({"require_dkim": None}, (422, "validation_error")),
        ({"allowed_dkim_domains": "192.0.2.1"}, (422, "invalid_allowed_dkim_domains")),
        ({"credentials": ""}, (422, "unknown_field")),
    ],
)
async def test_wrong_values_are_refused_at_creation_and_update(
    resident: User, changes: dict[str, Any], failure: tuple[int, str]
) -> None:
    created = await resident.client.post("/smtp-policies", {"name": "office"} | changes)
    assert created.failure == failure
    policy = await resident.new_policy()
    assert (await resident.client.put(path_of(policy), changes)).failure == failure
    assert (await resident.client.get(path_of(policy))).json == policy


async def test_a_name_is_required(resident: User) -> None:
    reply = await resident.client.post("/smtp-policies", {"require_spf": True})
    assert reply.failure == (400, "missing_field")
    assert "name" in reply.json["error"]


async def test_the_last_user_stays_while_somebody_must_authenticate(resident: User) -> None:
    policy = await resident.new_policy(require_smtp_auth=True, smtp_credentials=f"alice:{HASH}")
    reply = await resident.client.put(path_of(policy), {"smtp_credentials": ""})
    assert reply.failure == (422, "smtp_credentials_required")
    both = {"smtp_credentials": "", "require_smtp_auth": False}
    (await resident.client.put(path_of(policy), both)).expect(200)


async def test_an_update_changes_what_it_names(resident: User) -> None:
    policy = await resident.new_policy(allowed_source_ips="10.0.0.0/8", require_spf=True)
    changes = {"name": "home", "allowed_source_ips": ""}
    updated = (await resident.client.put(path_of(policy), changes)).expect(200)
    assert updated.pop("updated_at") > policy.pop("updated_at")
    assert updated == policy | changes
    (await resident.client.put(path_of(policy), {})).expect(200)


async def test_parallel_updates_lose_no_field(resident: User) -> None:
    policy = await resident.new_policy()
    changes: list[dict[str, object]] = [
        {"name": "changed"},
        {"allowed_source_ips": "10.0.0.0/8"},
        {"require_spf": True},
        {"allowed_dkim_domains": "example.com"},
    ]
    path = path_of(policy)
    replies = await asyncio.gather(*(resident.client.put(path, change) for change in changes * 3))
    assert {reply.status for reply in replies} == {200}
    read = (await resident.client.get(path)).json
    for change in changes:
        assert read | change == read


async def test_lists_have_all_of_ones_own_oldest_first(user: User) -> None:
    assert (await user.client.get("/smtp-policies")).expect(200) == []
    policies = [await user.new_policy(name=str(number)) for number in range(3)]
    assert (await user.client.get("/smtp-policies")).expect(200) == policies


async def test_a_deleted_policy_is_gone(resident: User) -> None:
    policy = await resident.new_policy()
    reply = await resident.client.delete(path_of(policy))
    assert (reply.status, reply.octets) == (204, b"")
    assert (await resident.client.get(path_of(policy))).failure == (404, "not_found")
    assert (await resident.client.delete(path_of(policy))).failure == (404, "not_found")


async def test_a_policy_in_use_stays_and_its_webhooks_are_named(resident: User) -> None:
    policy = await resident.new_policy()
    webhook = await resident.new_webhook(smtp_security_policy_id=policy["id"])
    reply = await resident.client.delete(path_of(policy))
    assert reply.failure == (409, "policy_in_use")
    assert webhook["id"] in reply.json["error"]
    detached = {"clear_security_policy": True}
    (await resident.client.put(f"/webhooks/{webhook['id']}", detached)).expect(200)
    (await resident.client.delete(path_of(policy))).expect(204)


async def test_not_all_webhooks_of_a_policy_are_named(resident: User) -> None:
    policy = await resident.new_policy()
    for _ in range(11):
        await resident.new_webhook(smtp_security_policy_id=policy["id"])
    reply = await resident.client.delete(path_of(policy))
    assert reply.json["error"].count("wh_") == 10
    assert "and more" in reply.json["error"]


async def test_no_policy_is_deleted_while_it_is_being_attached(resident: User) -> None:
    webhook = await resident.new_webhook()
    path = f"/webhooks/{webhook['id']}"

    async def race() -> tuple[Reply, Reply]:
        policy = await resident.new_policy()
        return await asyncio.gather(
            resident.client.put(path, {"smtp_security_policy_id": policy["id"]}),
            resident.client.delete(path_of(policy)),
        )

    for _ in range(20):
        attached, deleted = await race()
        read = (await resident.client.get(path)).expect(200)
        used = read.get("smtp_security_policy_id")
        if attached.status == 200:
            assert deleted.failure == (409, "policy_in_use")
            (await resident.client.get(f"/smtp-policies/{used}")).expect(200)
            (await resident.client.put(path, {"clear_security_policy": True})).expect(200)
        else:
            assert attached.failure == (422, "smtp_security_policy_not_found")
            assert deleted.status == 204 or deleted.failure == (409, "policy_in_use")
            assert used is None


@pytest.mark.parametrize("path", [NOWHERE, "/smtp-policies/pol_1", "/smtp-policies/%00"])
async def test_what_is_not_there_is_not_found(resident: User, path: str) -> None:
    assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.put(path, {"name": "x"})).failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")
