"""Domains: claims, their verification over the bus, and their end."""

import asyncio
from uuid import uuid4

import pytest

from conduit.store.domains import Domains
from tests.integration.api.client import User
from tests.integration.api.conftest import NewUser
from tests.integration.api.verifier import Verifier, verify

NOWHERE = "/domains/dom_01arz3ndektsv4rrffq69g5fav"


def new_name() -> str:
    return f"{uuid4().hex}.example.com"


async def test_a_claim_has_a_token(user: User) -> None:
    name = new_name()
    claim = (await user.client.post("/domains", {"name": name.upper()})).expect(201)
    assert set(claim) == {
        "id",
        "account_id",
        "name",
        "is_public",
        "verified",
        "verification_token",
        "created_at",
        "updated_at",
    }
    assert claim["name"] == name
    assert claim["account_id"] == user.id
    assert claim["is_public"] is False
    assert claim["verified"] is False
    assert claim["verification_token"].startswith("conduit-verify-")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({}, (400, "missing_field")),
        ({"name": 1}, (422, "validation_error")),
        ({"name": ""}, (422, "invalid_domain_name")),
        ({"name": "com"}, (422, "invalid_domain_name")),
        ({"name": "192.0.2.1"}, (422, "invalid_domain_name")),
        ({"name": "incoming.localhost"}, (422, "invalid_domain_name")),
        ({"name": "below.incoming.localhost"}, (422, "invalid_domain_name")),
    ],
)
async def test_wrong_names_are_refused(
    resident: User, body: object, failure: tuple[int, str]
) -> None:
    assert (await resident.client.post("/domains", body)).failure == failure


async def test_an_account_claims_a_name_once(resident: User) -> None:
    claim = await resident.new_domain()
    again = await resident.client.post("/domains", {"name": claim["name"]})
    assert again.failure == (409, "domain_already_claimed")


async def test_a_claim_does_not_block_others_until_it_is_verified(
    new_user: NewUser, domains: Domains
) -> None:
    one, two, three = await new_user(), await new_user(), await new_user()
    name = new_name()
    claim = await one.new_domain(name)
    await two.new_domain(name)
    await verify(domains, claim["id"])
    reply = await three.client.post("/domains", {"name": name})
    assert reply.failure == (409, "domain_already_claimed")


async def test_claims_are_listed_and_read(user: User) -> None:
    assert (await user.client.get("/domains")).expect(200) == []
    claims = [await user.new_domain() for _ in range(2)]
    assert (await user.client.get("/domains")).expect(200) == claims
    assert (await user.client.get(f"/domains/{claims[1]['id']}")).expect(200) == claims[1]


async def test_a_claim_is_verified(resident: User, verifier: Verifier) -> None:
    claim = await resident.new_domain()
    verified = (await resident.client.post(f"/domains/{claim['id']}/verify")).expect(200)
    assert verified["verified"] is True
    assert (await resident.client.get(f"/domains/{claim['id']}")).json == verified


async def test_a_missing_record_is_told(resident: User, verifier: Verifier) -> None:
    verifier.problem = "No TXT record was found."
    claim = await resident.new_domain()
    reply = await resident.client.post(f"/domains/{claim['id']}/verify")
    assert reply.failure == (422, "domain_verification_failed")
    assert reply.json["error"] == verifier.problem
    assert (await resident.client.get(f"/domains/{claim['id']}")).json == claim


async def test_a_domain_that_another_account_has_verified_is_taken(
    resident: User, verifier: Verifier
) -> None:
    verifier.taken = True
    claim = await resident.new_domain()
    reply = await resident.client.post(f"/domains/{claim['id']}/verify")
    assert reply.failure == (409, "domain_taken")


async def test_verifications_at_once_do_not_mix_their_answers(
    resident: User, verifier: Verifier
) -> None:
    claims = [await resident.new_domain() for _ in range(8)]
    paths = [f"/domains/{claim['id']}/verify" for claim in claims]
    replies = await asyncio.gather(*(resident.client.post(path) for path in paths))
    assert [reply.json["id"] for reply in replies] == [claim["id"] for claim in claims]


async def test_a_claim_is_given_up(resident: User) -> None:
    claim = await resident.new_domain()
    path = f"/domains/{claim['id']}"
    reply = await resident.client.delete(path)
    assert (reply.status, reply.octets) == (204, b"")
    assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")
    await resident.new_domain(claim["name"])


@pytest.mark.parametrize("local", ["hook", "*"])
async def test_a_domain_in_use_stays_and_its_webhooks_are_named(
    resident: User, domains: Domains, local: str
) -> None:
    claim = await resident.new_domain()
    await verify(domains, claim["id"])
    webhook = await resident.new_webhook(address=f"{local}@{claim['name']}")
    reply = await resident.client.delete(f"/domains/{claim['id']}")
    assert reply.failure == (409, "domain_in_use")
    assert webhook["id"] in reply.json["error"]
    (await resident.client.delete(f"/webhooks/{webhook['id']}")).expect(204)
    (await resident.client.delete(f"/domains/{claim['id']}")).expect(204)


@pytest.mark.parametrize("path", [NOWHERE, "/domains/dom_1", "/domains/wh_1"])
async def test_what_is_not_there_is_not_found(resident: User, path: str) -> None:
    assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.delete(path)).failure == (404, "not_found")
    assert (await resident.client.post(f"{path}/verify")).failure == (404, "not_found")
