"""Password resets: a mailed token, good for one new password within the hour."""

import asyncio
import json
from datetime import timedelta

import pytest

from conduit.model.audit import Action
from conduit.model.record import utc_now
from conduit.security.tokens import token_hash
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Client, Reply, User, new_email
from tests.integration.api.conftest import NewClient
from tests.integration.api.mailbox import Mailbox
from tests.support.polling import eventually

NEW_PASSWORD = "a new pass phrase"
REFUSED = (401, "invalid_token")


async def asked(client: Client, email: str) -> Reply:
    return await client.post("/accounts/password-reset", {"email": email})


async def confirmed(client: Client, token: str, password: str = NEW_PASSWORD) -> Reply:
    body = {"token": token, "new_password": password}
    return await client.put("/accounts/password-reset", body)


async def new_token(user: User, mailbox: Mailbox, count: int = 1) -> str:
    (await asked(user.client.with_token(None), user.email)).expect(202)
    return await mailbox.token(user.email, count)


async def test_the_mailed_token_sets_a_new_password(
    user: User, client: Client, mailbox: Mailbox
) -> None:
    token = await new_token(user, mailbox)
    reply = await confirmed(client, token)
    assert (reply.status, reply.octets) == (204, b"")
    assert (await client.sign_in(user.email)).failure == (401, "invalid_credentials")
    (await client.sign_in(user.email, NEW_PASSWORD)).expect(200)


async def test_the_mail_has_a_link_to_the_web_ui(
    user: User, mailbox: Mailbox, stack: Stack
) -> None:
    token = await new_token(user, mailbox)
    [mail] = mailbox.mails(user.email)
    root = stack.urls.api.removesuffix("/api/v1")
    assert f"{root}/app/reset-password/confirm#token={token}" in mail.get_content()
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_the_log_tells_the_file_and_the_link(
    user: User, mailbox: Mailbox, stack: Stack
) -> None:
    token = await new_token(user, mailbox)

    def told() -> list[dict[str, str]]:
        lines = map(json.loads, stack.log("api").read_text().splitlines())
        return [line for line in lines if line.get("to") == user.email and "link" in line]

    [line] = await eventually(told)
    assert token in line["link"]
    assert line["path"].endswith(".eml")


async def test_a_reset_ends_all_sessions_at_once(
    user: User, client: Client, mailbox: Mailbox
) -> None:
    (await confirmed(client, await new_token(user, mailbox))).expect(204)
    assert (await user.client.get("/accounts/me")).failure == (401, "unauthorized")
    body = {"refresh_token": user.session["refresh_token"]}
    assert (await client.post("/sessions/refresh", body)).status == 401


async def test_a_token_works_once(user: User, client: Client, mailbox: Mailbox) -> None:
    token = await new_token(user, mailbox)
    replies = await asyncio.gather(*(confirmed(client, token) for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [204, 401, 401, 401]
    assert (await confirmed(client, token)).failure == REFUSED


async def test_a_new_request_takes_the_place_of_the_former(
    user: User, client: Client, mailbox: Mailbox
) -> None:
    first = await new_token(user, mailbox)
    second = await new_token(user, mailbox, 2)
    assert (await confirmed(client, first)).failure == REFUSED
    (await confirmed(client, second)).expect(204)


async def test_a_token_is_good_for_an_hour(
    user: User, client: Client, mailbox: Mailbox, store: Store
) -> None:
    token = await new_token(user, mailbox)
    kept = store.collection("password_resets")
    document = await kept.find_one({"_id": user.id})
    assert document is not None
    age = timedelta(hours=1) - (document["expires_at"] - utc_now())
    assert timedelta(0) <= age < timedelta(minutes=1)
    past = {**document, "expires_at": utc_now() - timedelta(seconds=1)}
    await kept.replace_one({"_id": user.id}, past)
    assert (await confirmed(client, token)).failure == REFUSED


async def test_the_store_has_a_hash_only(user: User, mailbox: Mailbox, store: Store) -> None:
    token = await new_token(user, mailbox)
    document = await store.collection("password_resets").find_one({"_id": user.id})
    assert document is not None
    assert document["token_hash"] == token_hash(token)
    assert token not in str(document)


async def test_a_change_of_the_password_voids_the_token(
    user: User, client: Client, mailbox: Mailbox
) -> None:
    token = await new_token(user, mailbox)
    body = {"current_password": PASSWORD, "new_password": "chosen meanwhile"}
    (await user.client.put("/accounts/me/password", body)).expect(204)
    assert (await confirmed(client, token)).failure == REFUSED


async def test_unknown_addresses_get_the_same_answer_and_no_mail(
    user: User, client: Client, mailbox: Mailbox
) -> None:
    unknown = new_email()
    replies = [await asked(client, email) for email in (unknown, "no address\0", "", user.email)]
    assert [(reply.status, reply.octets) for reply in replies] == [(202, b"")] * 4
    await mailbox.token(user.email)  # asked for last
    assert mailbox.mails(unknown) == []


async def test_resets_are_in_the_audit_log(
    user: User, client: Client, mailbox: Mailbox, store: Store
) -> None:
    (await confirmed(client, await new_token(user, mailbox))).expect(204)
    actions = [entry.action for entry in await AuditLog(store).newest(user.id, 2)]
    assert actions == [Action.PASSWORD_RESET, Action.PASSWORD_RESET_REQUESTED]


@pytest.mark.parametrize(
    ("method", "body", "failure"),
    [
        ("POST", {}, (400, "missing_field")),
        ("POST", {"email": 1}, (422, "validation_error")),
        ("PUT", {"token": "t"}, (400, "missing_field")),
        ("PUT", {"new_password": NEW_PASSWORD}, (400, "missing_field")),
        ("PUT", {"token": "t", "new_password": "elevenchars"}, (422, "validation_error")),
        ("PUT", {"token": "t", "new_password": NEW_PASSWORD}, REFUSED),
        ("PUT", {"token": "", "new_password": NEW_PASSWORD}, REFUSED),
        ("PUT", {"token": "é\0" * 500, "new_password": NEW_PASSWORD}, REFUSED),
    ],
)
async def test_wrong_requests_are_refused(
    client: Client, method: str, body: object, failure: tuple[int, str]
) -> None:
    assert (await client.send(method, "/accounts/password-reset", body)).failure == failure


async def test_requests_from_one_address_are_throttled(new_client: NewClient) -> None:
    client = new_client()
    statuses = [(await asked(client, new_email())).status for _ in range(12)]
    assert statuses == [202] * 10 + [429] * 2
    reply = await confirmed(client, "token")
    assert reply.failure == (429, "too_many_requests")
    assert int(reply.headers["Retry-After"]) > 0
    (await asked(new_client(), new_email())).expect(202)


async def test_requests_for_one_account_are_throttled(new_client: NewClient) -> None:
    email = new_email()
    statuses = [(await asked(new_client(), email)).status for _ in range(13)]
    assert statuses == [202] * 12 + [429]
