"""Sessions: sign-in, refresh, sign-out, and what they do to access tokens."""

import asyncio
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from statistics import quantiles

import pytest

from conduit.model.audit import Action
from conduit.model.record import utc_now
from conduit.store.audit_log import AuditLog
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
from tests.support.polling import eventually

GRACE = timedelta(seconds=10)
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


async def test_a_lost_answer_may_be_asked_for_again(user: User) -> None:
    used = user.session["refresh_token"]
    first, second = (await refreshed(user.client, used), await refreshed(user.client, used))
    assert first.expect(200)["refresh_token"] == second.expect(200)["refresh_token"]
    assert await is_signed_in(user.client, second.json["access_token"])
    (await refreshed(user.client, second.json["refresh_token"])).expect(200)


async def test_fifty_refreshes_at_once_give_one_family_that_goes_on(user: User) -> None:
    token = user.session["refresh_token"]
    replies = await asyncio.gather(*(refreshed(user.client, token) for _ in range(50)))
    assert [reply.status for reply in replies] == [200] * 50
    [following] = {reply.json["refresh_token"] for reply in replies}
    assert len({reply.json["access_token"] for reply in replies}) == 50
    assert await is_signed_in(user.client, replies[-1].json["access_token"])
    (await refreshed(user.client, following)).expect(200)


async def test_the_reuse_of_a_refresh_token_ends_the_session(user: User, store: Store) -> None:
    used = user.session["refresh_token"]
    renewed = (await refreshed(user.client, used)).expect(200)
    await let_pass(store, user, GRACE)
    assert (await refreshed(user.client, used)).failure == REFUSED
    assert (await refreshed(user.client, renewed["refresh_token"])).failure == REFUSED
    assert not await is_signed_in(user.client, renewed["access_token"])
    (await user.client.sign_in(user.email)).expect(200)


async def let_pass(store: Store, user: User, time: timedelta) -> None:
    """Have the last refresh of somebody's session as long ago as that."""
    session = await Sessions(store).find({"account_id": user.id})
    assert session is not None
    assert session.turned_at is not None
    await Sessions(store).replace(session.model_copy(update={"turned_at": utc_now() - time}))


async def test_a_token_before_the_last_one_ends_the_session_at_once(user: User) -> None:
    used = user.session["refresh_token"]
    second = (await refreshed(user.client, used)).expect(200)["refresh_token"]
    third = (await refreshed(user.client, second)).expect(200)
    assert (await refreshed(user.client, used)).failure == REFUSED
    assert (await refreshed(user.client, third["refresh_token"])).failure == REFUSED
    assert not await is_signed_in(user.client, third["access_token"])


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


async def test_a_thousand_wrong_passwords_do_not_lock_the_owner_out(
    user: User, new_client: NewClient
) -> None:
    attacker = new_client()

    async def tried(count: int) -> list[Reply]:
        return [await attacker.sign_in(user.email, "wrong password") for _ in range(count)]

    rounds = await asyncio.gather(*(tried(100) for _ in range(10)))
    replies = [reply for round_ in rounds for reply in round_]
    assert {reply.status for reply in replies} == {401, 429}
    assert sum(reply.status == 401 for reply in replies) <= SIGN_INS_PER_ADDRESS + 1  # one is back
    assert all(int(r.headers["Retry-After"]) > 0 for r in replies if r.status == 429)
    (await new_client().sign_in(user.email)).expect(200)


async def test_known_and_unknown_accounts_take_the_same_time(
    new_user: NewUser, new_client: NewClient
) -> None:
    """The middle halves of both overlap widely: no threshold tells one from the other."""
    known = [(await new_user()).email for _ in range(4)]

    async def seconds(email: str) -> float:
        client = new_client()
        await client.get("/accounts/me")  # connects
        begun = time.perf_counter()
        reply = await client.sign_in(email, "wrong password")
        assert reply.status == 401
        return time.perf_counter() - begun

    times: dict[bool, list[float]] = {True: [], False: []}
    for round_ in range(40):  # in turn, so that what else the machine does falls on both
        for is_known in (round_ % 2 == 0, round_ % 2 == 1):
            email = known[round_ % len(known)] if is_known else new_email()
            times[is_known].append(await seconds(email))
    (low, _, high), (other_low, _, other_high) = (quantiles(times[key]) for key in (True, False))
    assert max(low, other_low) < min(high, other_high), (sorted(times[True]), sorted(times[False]))
    right = sum(a < b for a in times[True] for b in times[False]) / len(times[True]) ** 2
    assert 0.2 < right < 0.8  # a guess by the time alone; 0.5: it tells nothing


async def test_what_happens_to_sessions_is_in_the_audit_log(user: User, store: Store) -> None:
    await user.client.sign_in(user.email, "wrong password")
    used = user.session["refresh_token"]
    second = (await refreshed(user.client, used)).expect(200)["refresh_token"]
    (await refreshed(user.client, second)).expect(200)
    assert (await refreshed(user.client, used)).failure == REFUSED
    other = (await user.client.sign_in(user.email)).expect(200)
    body = {"refresh_token": other["refresh_token"]}
    (await user.client.with_token(other["access_token"]).delete("/sessions", body)).expect(204)
    wanted = [
        Action.ACCOUNT_CREATED,
        Action.SESSION_CREATED,
        Action.SESSION_CREATED,
        Action.SESSION_ENDED,
        Action.SESSION_REFUSED,
        Action.SESSION_REUSE_DETECTED,
    ]

    async def noted() -> bool:
        entries = await AuditLog(store).newest(user.id, 20)
        return sorted(entry.action for entry in entries) == sorted(wanted)

    await eventually(noted, what="the audit log")
    entries = await AuditLog(store).newest(user.id, 20)
    assert all(entry.remote_ip.startswith("127.") for entry in entries)


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
