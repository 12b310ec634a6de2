"""Accounts: sign-up, and the account that asks."""

import asyncio
import re

import pytest

from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Client, User, new_email
from tests.integration.api.conftest import SIGN_UPS_PER_ADDRESS, NewClient

NEW_PASSWORD = "another pass phrase"
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


async def test_the_password_is_changed(user: User, client: Client) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    reply = await user.client.put("/accounts/me/password", body)
    assert (reply.status, reply.octets) == (204, b"")
    assert (await client.sign_in(user.email)).failure == (401, "invalid_credentials")
    (await client.sign_in(user.email, NEW_PASSWORD)).expect(200)


async def test_a_change_of_the_password_ends_all_other_sessions_at_once(user: User) -> None:
    other = (await user.client.sign_in(user.email)).expect(200)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    (await user.client.put("/accounts/me/password", body)).expect(204)
    reply = await user.client.with_token(other["access_token"]).get("/accounts/me")
    assert reply.failure == (401, "unauthorized")
    refresh = {"refresh_token": other["refresh_token"]}
    assert (await user.client.post("/sessions/refresh", refresh)).status == 401
    (await user.client.get("/accounts/me")).expect(200)
    refresh = {"refresh_token": user.session["refresh_token"]}
    (await user.client.post("/sessions/refresh", refresh)).expect(200)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"current_password": "not it", "new_password": NEW_PASSWORD}, (401, "wrong_password")),
        ({"current_password": "", "new_password": NEW_PASSWORD}, (401, "wrong_password")),
        ({"current_password": PASSWORD, "new_password": "elevenchars"}, (422, "validation_error")),
        ({"current_password": PASSWORD, "new_password": "x" * 1025}, (422, "validation_error")),
        ({"current_password": 1, "new_password": NEW_PASSWORD}, (422, "validation_error")),
        ({"current_password": PASSWORD}, (400, "missing_field")),
        ({"new_password": NEW_PASSWORD}, (400, "missing_field")),
    ],
)
async def test_wrong_changes_of_the_password_are_refused(
    user: User, body: object, failure: tuple[int, str]
) -> None:
    reply = await user.client.put("/accounts/me/password", body)
    assert reply.failure == failure
    (await user.client.sign_in(user.email)).expect(200)


async def test_two_changes_of_the_password_at_once_are_one(user: User) -> None:
    passwords = [f"{NEW_PASSWORD} {number}" for number in range(3)]
    bodies = [{"current_password": PASSWORD, "new_password": password} for password in passwords]
    replies = await asyncio.gather(
        *(user.client.put("/accounts/me/password", body) for body in bodies)
    )
    assert sorted(reply.status for reply in replies) == [204, 401, 401]
    signed_in = [(await user.client.sign_in(user.email, p)).status == 200 for p in passwords]
    assert signed_in == [reply.status == 204 for reply in replies]


async def test_guesses_of_the_password_by_a_session_are_throttled(user: User) -> None:
    body = {"current_password": "not it", "new_password": NEW_PASSWORD}
    replies = [await user.client.put("/accounts/me/password", body) for _ in range(9)]
    assert replies[-1].failure == (429, "too_many_requests")


@pytest.mark.parametrize("timezone", ["America/New_York", "Europe/Berlin", "UTC", "Etc/GMT+5"])
async def test_the_timezone_is_set(user: User, timezone: str) -> None:
    reply = await user.client.put("/accounts/me/timezone", {"timezone": timezone})
    assert (reply.status, reply.octets) == (204, b"")
    account = (await user.client.get("/accounts/me")).expect(200)
    assert account["timezone"] == timezone
    assert account["updated_at"] > user.account["updated_at"]
    assert account["created_at"] == user.account["created_at"]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"timezone": "Mars/Olympus_Mons"}, (422, "invalid_timezone")),
        ({"timezone": "europe/berlin"}, (422, "invalid_timezone")),
        ({"timezone": "localtime"}, (422, "invalid_timezone")),
        ({"timezone": "../../etc/passwd"}, (422, "invalid_timezone")),
        ({"timezone": ""}, (422, "invalid_timezone")),
        ({"timezone": 1}, (422, "validation_error")),
        ({}, (400, "missing_field")),
    ],
)
async def test_other_timezones_are_refused(
    resident: User, body: object, failure: tuple[int, str]
) -> None:
    assert (await resident.client.put("/accounts/me/timezone", body)).failure == failure


async def test_a_stranger_has_no_account(client: Client) -> None:
    reply = await client.get("/accounts/me")
    assert reply.failure == (401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_no_password_is_logged_or_kept(stack: Stack, user: User) -> None:
    assert user.account["email"] == user.email
    assert PASSWORD not in stack.log("api").read_text()
    assert user.session["access_token"] not in stack.log("api").read_text()
