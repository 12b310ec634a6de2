"""API tokens: made, shown once, taken like access tokens within their bounds, and revoked."""

import re
from datetime import timedelta
from typing import Any

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.connection import Store
from conduit_api.operation import Operation, Private
from conduit_api.routes import OPERATIONS
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User
from tests.integration.api.conftest import NewClient

NOWHERE = "/api-tokens/tok_01arz3ndektsv4rrffq69g5fav"
FOR_SESSIONS = [o for o in OPERATIONS if isinstance(o, Private) and o.needs_session]


def program(new_client: NewClient, token: Any) -> Client:
    return new_client().with_token(token["token"])


async def test_a_token_is_shown_once(user: User) -> None:
    made = await user.new_token(name="ci ü")
    assert set(made) == {"id", "name", "token", "hint", "scopes", "allowed_ips", "created_at"}
    assert re.fullmatch(r"conduit_[A-Za-z0-9_-]{43}", made["token"])
    assert made["token"].endswith(made["hint"])
    assert (made["name"], made["scopes"], made["allowed_ips"]) == ("ci ü", ["read", "write"], [])
    shown = {name: value for name, value in made.items() if name != "token"}
    assert (await user.client.get("/api-tokens")).expect(200) == [shown]
    assert (await user.client.get(f"/api-tokens/{made['id']}")).expect(200) == shown


async def test_a_secret_is_neither_kept_nor_logged(user: User, store: Store, stack: Stack) -> None:
    made = await user.new_token()
    (await user.client.with_token(made["token"]).get("/webhooks")).expect(200)
    kept = await store.collection("api_tokens").find_one({"_id": made["id"]})
    assert made["token"] not in str(kept)
    assert made["token"] not in stack.log("api").read_text()


async def test_a_token_is_taken_like_an_access_token(user: User, new_client: NewClient) -> None:
    client = program(new_client, await user.new_token())
    assert (await client.get("/accounts/me")).expect(200)["id"] == user.id
    body = {"target_url": "https://example.com/hook"}
    webhook = (await client.post("/webhooks", body)).expect(201)
    assert [each["id"] for each in (await user.client.get("/webhooks")).json] == [webhook["id"]]
    (await client.delete(f"/webhooks/{webhook['id']}")).expect(204)


async def test_its_use_is_noted(user: User, new_client: NewClient) -> None:
    made = await user.new_token()
    begun = utc_now()
    (await program(new_client, made).get("/webhooks")).expect(200)
    [shown] = (await user.client.get("/api-tokens")).expect(200)
    assert shown["last_used_at"] >= begun.strftime("%Y-%m-%dT%H:%M:%S")


async def test_a_scope_bounds_what_it_may_do(user: User, new_client: NewClient) -> None:
    reader = program(new_client, await user.new_token(scopes=["read"]))
    writer = program(new_client, await user.new_token(scopes=["write"]))
    (await reader.get("/webhooks")).expect(200)
    assert (await reader.send("HEAD", "/webhooks")).status == 200
    (await writer.post("/domains", {"name": f"{user.id[4:]}.example.com"})).expect(201)
    for reply in (
        await reader.post("/webhooks", {}),  # before its body is looked at
        await reader.delete("/webhooks/wh_1"),
        await writer.get("/webhooks"),
    ):
        assert reply.failure == (403, "insufficient_scope")
    assert (await user.client.get("/webhooks")).expect(200) == []


async def test_it_is_taken_from_its_networks_only(user: User, new_client: NewClient) -> None:
    inside = program(new_client, await user.new_token(allowed_ips=["192.0.2.1", "127.0.0.0/8"]))
    (await inside.get("/webhooks")).expect(200)
    outside = program(
        new_client, await user.new_token(allowed_ips=["192.0.2.0/24", "2001:db8::/32"])
    )
    assert (await outside.get("/webhooks")).failure == (403, "ip_not_allowed")
    unused = (await user.client.get("/api-tokens")).expect(200)[1]
    assert "last_used_at" not in unused
    assert unused["allowed_ips"] == ["192.0.2.0/24", "2001:db8::/32"]


@pytest.mark.parametrize("operation", FOR_SESSIONS, ids=lambda operation: operation.id)
async def test_what_needs_a_session_is_not_for_tokens(
    operation: Operation[Any], resident: User, new_client: NewClient
) -> None:
    client = program(new_client, await resident.new_token())
    path = re.sub(r"\{\w+\}", "1", operation.path.removeprefix("/api/v1"))
    reply = await client.send(operation.method, path)
    assert reply.failure == (403, "session_required")


async def test_an_expired_token_is_turned_away_but_listed(
    user: User, new_client: NewClient, store: Store
) -> None:
    ends = utc_now() + timedelta(hours=1)
    made = await user.new_token(expires_at=ends.isoformat())
    (await program(new_client, made).get("/webhooks")).expect(200)
    past = {"$set": {"expires_at": utc_now() - timedelta(seconds=1)}}
    await store.collection("api_tokens").update_one({"_id": made["id"]}, past)
    assert (await program(new_client, made).get("/webhooks")).failure == (401, "unauthorized")
    assert len((await user.client.get("/api-tokens")).expect(200)) == 1


async def test_a_revoked_token_is_turned_away_at_once(user: User, new_client: NewClient) -> None:
    made = await user.new_token()
    client = program(new_client, made)
    (await client.get("/webhooks")).expect(200)
    (await user.client.delete(f"/api-tokens/{made['id']}")).expect(204)
    reply = await client.get("/webhooks")
    assert reply.failure == (401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    again = await user.client.delete(f"/api-tokens/{made['id']}")
    assert again.failure == (404, "not_found")


@pytest.mark.parametrize("text", ["conduit_", "conduit_" + "A" * 43, "conduit_" + "A" * 4000])
async def test_unknown_tokens_are_turned_away(client: Client, text: str) -> None:
    assert (await client.with_token(text).get("/webhooks")).failure == (401, "unauthorized")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({}, (400, "missing_field")),
        ({"name": ""}, (422, "validation_error")),
        ({"name": "x" * 101}, (422, "validation_error")),
        ({"name": "a\nb"}, (422, "validation_error")),
        ({"name": "a", "scopes": []}, (422, "validation_error")),
        ({"name": "a", "scopes": ["admin"]}, (422, "validation_error")),
        ({"name": "a", "scopes": "read"}, (422, "validation_error")),
        ({"name": "a", "allowed_ips": ["10.0.0.1/8"]}, (422, "validation_error")),
        ({"name": "a", "allowed_ips": ["example.com"]}, (422, "validation_error")),
        ({"name": "a", "allowed_ips": ["fe80::1%eth0"]}, (422, "validation_error")),
        ({"name": "a", "allowed_ips": ["10.0.0.1"] * 51}, (422, "validation_error")),
        ({"name": "a", "expires_at": "tomorrow"}, (422, "validation_error")),
        ({"name": "a", "expires_at": 1}, (422, "validation_error")),
        ({"name": "a", "expires_at": None}, (422, "validation_error")),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, (422, "expires_at_in_the_past")),
        ({"name": "a", "token": "conduit_x"}, (422, "unknown_field")),
    ],
)
async def test_wrong_tokens_are_refused(
    resident: User, body: object, failure: tuple[int, str]
) -> None:
    assert (await resident.client.post("/api-tokens", body)).failure == failure


async def test_an_account_has_so_many_tokens(user: User, store: Store) -> None:
    made = await user.new_token()
    document = await store.collection("api_tokens").find_one({"_id": made["id"]})
    assert document is not None
    others = [
        {**document, "_id": new_id(Prefix.TOKEN), "token_hash": f"{user.id}{number}"}
        for number in range(99)
    ]
    await store.collection("api_tokens").insert_many(others)
    reply = await user.client.post("/api-tokens", {"name": "one more"})
    assert reply.failure == (409, "too_many_tokens")


async def test_what_is_not_there_is_not_found(resident: User) -> None:
    for path in (NOWHERE, "/api-tokens/1"):
        assert (await resident.client.get(path)).failure == (404, "not_found")
        assert (await resident.client.delete(path)).failure == (404, "not_found")
