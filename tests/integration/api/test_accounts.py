"""Accounts: sign-up, and the account that asks."""

import asyncio
import re

import pytest

from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Client, User, new_email
from tests.integration.api.conftest import SIGN_UPS_PER_ADDRESS, NewClient

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def test_an_account_is_made(client: Client) -> None:
    email = new_email()
    reply = await client.post("/accounts", {"email": email.upper(), "password": PASSWORD})
    account = reply.expect(201)
    assert set(account) == {"id", "email", "timezone", "created_at", "updated_at"}
    assert account["id"].startswith("acc_")
    assert account["email"] == email
    assert account["timezone"] == "UTC"
    assert TIMESTAMP.fullmatch(account["created_at"])
    assert account["updated_at"] == account["created_at"]


async def test_an_address_has_one_account_however_it_is_written(client: Client) -> None:
    email = new_email()
    await client.sign_up(email)
    again = await client.post("/accounts", {"email": email.title(), "password": PASSWORD})
    assert again.failure == (409, "email_taken")


async def test_two_sign_ups_at_once_make_one_account(client: Client) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    replies = await asyncio.gather(*(client.post("/accounts", body) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [201, 409]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"password": PASSWORD}, (400, "missing_field")),
        ({"email": "user@example.com"}, (400, "missing_field")),
        ({"email": "user@example.com", "password": "elevenchars"}, (422, "validation_error")),
        ({"email": "user@example.com", "password": "x" * 1025}, (422, "validation_error")),
        ({"email": "nobody", "password": PASSWORD}, (422, "validation_error")),
        ({"email": 1, "password": PASSWORD}, (422, "validation_error")),
        ({"email": None, "password": PASSWORD}, (422, "validation_error")),
        ({"email": "u@example.com", "password": PASSWORD, "admin": True}, (422, "unknown_field")),
    ],
)
async def test_wrong_sign_ups_are_refused(
    client: Client, body: object, failure: tuple[int, str]
) -> None:
    reply = await client.post("/accounts", body)
    assert reply.failure == failure
    assert PASSWORD not in reply.json["error"]


async def test_a_missing_field_is_named(client: Client) -> None:
    reply = await client.post("/accounts", {"email": "user@example.com"})
    assert "password" in reply.json["error"]


async def test_sign_ups_from_one_address_are_throttled(new_client: NewClient) -> None:
    client = new_client()
    for _ in range(SIGN_UPS_PER_ADDRESS):
        await client.sign_up(new_email())
    reply = await client.post("/accounts", {"email": new_email(), "password": PASSWORD})
    assert reply.failure == (429, "too_many_requests")
    assert int(reply.headers["Retry-After"]) > 0
    await new_client().sign_up(new_email())


async def test_the_account_that_asks_is_told(user: User) -> None:
    assert (await user.client.get("/accounts/me")).expect(200) == user.account


async def test_a_stranger_has_no_account(client: Client) -> None:
    reply = await client.get("/accounts/me")
    assert reply.failure == (401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_no_password_is_logged_or_kept(stack: Stack, user: User) -> None:
    assert user.account["email"] == user.email
    assert PASSWORD not in stack.log("api").read_text()
    assert user.session["access_token"] not in stack.log("api").read_text()
