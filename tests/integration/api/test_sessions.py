"""Sessions: sign-in, refresh, sign-out, and what they do to access tokens."""

import asyncio
from base64 import urlsafe_b64encode

import pytest

from conduit.store.connection import Store
from conduit.store.sessions import Sessions
from tests.integration.api.client import Client, Reply, User, new_email
from tests.integration.api.conftest import (
    REFRESHES_PER_ACCOUNT,
    SIGN_INS_PER_ACCOUNT,
    SIGN_INS_PER_ADDRESS,
    NewClient,
    NewUser,
)

REFUSED = (401, "invalid_refresh_token")


async def refreshed(client: Client, token: str) -> Reply:
    return await client.post("/sessions/refresh", {"refresh_token": token})


async def is_signed_in(client: Client, access_token: str) -> bool:
    reply = await client.with_token(access_token).get("/accounts/me")
    assert reply.status in {200, 401}
    return reply.status == 200


async def test_a_sign_in_gives_tokens(user: User) -> None:
    assert set(user.session) == {"access_token", "refresh_token", "expires_in"}
    assert user.session["expires_in"] == 900
    assert await is_signed_in(user.client, user.session["access_token"])


async def test_the_address_may_be_written_in_any_case(user: User) -> None:
    (await user.client.sign_in(user.email.upper())).expect(200)


async def test_unknown_accounts_and_wrong_passwords_get_one_answer(user: User) -> None:
    wrong = await user.client.sign_in(user.email, "wrong password")
    unknown = await user.client.sign_in(new_email(), "wrong password")
    odd = await user.client.sign_in("no address\0" + "x" * 5000, "x" * 5000)
    assert wrong.failure == (401, "invalid_credentials")
    assert wrong.octets == unknown.octets == odd.octets


@pytest.mark.parametrize(
    ("path", "body", "failure"),
    [
        ("/sessions", {"email": "a@example.com"}, (400, "missing_field")),
        ("/sessions", {"email": "a@example.com", "password": 1}, (422, "validation_error")),
        ("/sessions/refresh", {}, (400, "missing_field")),
        ("/sessions/refresh", {"refresh_token": 1}, (422, "validation_error")),
        ("/sessions/refresh", {"refresh_token": ""}, REFUSED),
        ("/sessions/refresh", {"refresh_token": "é"}, REFUSED),
        ("/sessions/refresh", {"refresh_token": "A" * 64}, REFUSED),
    ],
)
async def test_wrong_requests_are_refused(
    client: Client, path: str, body: object, failure: tuple[int, str]
) -> None:
    assert (await client.post(path, body)).failure == failure


async def test_a_refresh_gives_new_tokens(user: User) -> None:
    renewed = (await refreshed(user.client, user.session["refresh_token"])).expect(200)
    assert renewed["expires_in"] == 900
    assert renewed["refresh_token"] != user.session["refresh_token"]
    assert await is_signed_in(user.client, renewed["access_token"])
    (await refreshed(user.client, renewed["refresh_token"])).expect(200)


async def test_the_reuse_of_a_refresh_token_ends_the_session(user: User) -> None:
    renewed = (await refreshed(user.client, user.session["refresh_token"])).expect(200)
    assert (await refreshed(user.client, user.session["refresh_token"])).failure == REFUSED
    assert (await refreshed(user.client, renewed["refresh_token"])).failure == REFUSED
    assert not await is_signed_in(user.client, renewed["access_token"])


async def test_a_refresh_token_used_twice_at_once_is_good_for_one_at_most(user: User) -> None:
    token = user.session["refresh_token"]
    replies = await asyncio.gather(*(refreshed(user.client, token) for _ in range(4)))
    assert sum(reply.status == 200 for reply in replies) <= 1


async def test_the_store_has_hashes_only(user: User, store: Store) -> None:
    kept = await Sessions(store).find({"account_id": user.id})
    assert kept is not None
    assert user.session["refresh_token"] not in kept.model_dump_json()


async def test_a_sign_out_ends_access_and_refresh_at_once(user: User) -> None:
    body = {"refresh_token": user.session["refresh_token"]}
    reply = await user.client.delete("/sessions", body)
    assert (reply.status, reply.octets) == (204, b"")
    assert not await is_signed_in(user.client, user.session["access_token"])
    assert (await refreshed(user.client, user.session["refresh_token"])).failure == REFUSED


async def test_a_sign_out_leaves_the_other_sessions(user: User) -> None:
    other = (await user.client.sign_in(user.email)).expect(200)
    await user.client.delete("/sessions", {"refresh_token": user.session["refresh_token"]})
    assert await is_signed_in(user.client, other["access_token"])


async def test_a_session_may_end_another_of_its_account_and_itself(user: User) -> None:
    other = (await user.client.sign_in(user.email)).expect(200)
    body = {"refresh_token": other["refresh_token"]}
    (await user.client.delete("/sessions", body)).expect(204)
    assert not await is_signed_in(user.client, other["access_token"])
    assert not await is_signed_in(user.client, user.session["access_token"])


async def test_nobody_ends_the_sessions_of_others(new_user: NewUser) -> None:
    one, other = await new_user(), await new_user()
    body = {"refresh_token": other.session["refresh_token"]}
    assert (await one.client.delete("/sessions", body)).failure == REFUSED
    assert await is_signed_in(one.client, one.session["access_token"])
    assert await is_signed_in(other.client, other.session["access_token"])


async def test_a_sign_out_needs_both_tokens(user: User) -> None:
    body = {"refresh_token": user.session["refresh_token"]}
    stranger = user.client.with_token(None)
    assert (await stranger.delete("/sessions", body)).failure == (401, "unauthorized")
    assert (await user.client.delete("/sessions", {})).failure == (400, "missing_field")


def forged(token: str) -> str:
    header, _, signature = token.split(".")
    payload = urlsafe_b64encode(b'{"sub":"acc_1","sid":"ses_1"}').decode().rstrip("=")
    return f"{header}.{payload}.{signature}"


async def test_other_access_tokens_are_refused(user: User) -> None:
    good = user.session["access_token"]
    for header in [
        "",
        good,
        f"Basic {good}",
        "Bearer",
        "Bearer ",
        f"Bearer {good} {good}",
        f"Bearer {good[:-3]}",
        f"Bearer {forged(good)}",
        f"Bearer {user.session['refresh_token']}",
        "Bearer é",
    ]:
        reply = await user.client.get("/accounts/me", headers={"Authorization": header})
        assert reply.failure == (401, "unauthorized"), header


async def test_one_address_is_throttled_and_the_owner_elsewhere_is_not(
    user: User, new_client: NewClient
) -> None:
    attacker = new_client()
    statuses = [
        (await attacker.sign_in(user.email, "wrong password")).status
        for _ in range(SIGN_INS_PER_ADDRESS + 4)
    ]
    assert statuses == [401] * SIGN_INS_PER_ADDRESS + [429] * 4
    (await new_client().sign_in(user.email)).expect(200)


async def test_one_account_is_throttled_over_all_addresses(new_client: NewClient) -> None:
    email = new_email()
    clients = [new_client() for _ in range(SIGN_INS_PER_ACCOUNT + 1)]
    replies = [await client.sign_in(email, "wrong password") for client in clients]
    assert [reply.status for reply in replies[:-1]] == [401] * SIGN_INS_PER_ACCOUNT
    assert replies[-1].failure == (429, "too_many_requests")
    assert int(replies[-1].headers["Retry-After"]) > 0


async def test_refreshes_of_one_session_are_throttled(user: User) -> None:
    token = user.session["refresh_token"]
    for _ in range(REFRESHES_PER_ACCOUNT):
        token = (await refreshed(user.client, token)).expect(200)["refresh_token"]
    assert (await refreshed(user.client, token)).failure == (429, "too_many_requests")
