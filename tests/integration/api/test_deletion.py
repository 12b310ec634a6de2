"""The end of an account: nothing of it stays, and nobody gets in to what is left meanwhile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from conduit.model.endpoint_health import EndpointHealth
from conduit.model.message import Message
from conduit.model.notice import gone_notice
from conduit.model.record import utc_now
from conduit.settings import StoreSettings
from conduit.store.accounts import Accounts
from conduit.store.connection import Store, open_store
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.holdings import Holdings
from conduit.store.indexes import INDEXES
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.slots import Slots
from conduit.store.webhooks import Webhooks
from conduit_api.erasure import Erasure
from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Client, User
from tests.integration.api.mail import Mail
from tests.integration.api.mailbox import Mailbox
from tests.integration.api.test_logs import new_refusal
from tests.support.polling import eventually


async def documents(store: Store) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    for name in INDEXES:
        for document in await store.collection(name).find({}).to_list(None):
            yield name, document


async def traces(store: Store, *texts: str) -> set[str]:
    """Return in which collections one of these texts occurs."""
    return {name async for name, document in documents(store) if _has(document, texts)}


def _has(document: dict[str, Any], texts: tuple[str, ...]) -> bool:
    told = str(document)
    return any(text in told for text in texts)


async def settle(user: User, store: Store, mail: Mail, mailbox: Mailbox) -> tuple[str, ...]:
    """Give an account something of everything, and return what to look for."""
    webhook, removed = await user.new_webhook(), await user.new_webhook()
    await user.new_domain()
    await user.new_policy()
    await user.new_token()
    texts = [user.id, user.email]
    for each in (webhook, removed):
        delivery, _ = await mail.handled(each["id"], account_id=user.id, shared=False)
        refusal = new_refusal(each["id"])
        await mail.logs.add([refusal])
        texts += [each["id"], delivery.id, delivery.message_id, refusal.id]
        await Slots(store).take(each["id"], utc_now(), timedelta(seconds=1))
    await settle_trouble(user, store, webhook["id"])
    (await user.client.delete(f"/webhooks/{removed['id']}")).expect(204)
    await user.client.post("/accounts/password-reset", {"email": user.email})
    await mailbox.token(user.email)
    now = utc_now() + timedelta(minutes=5)
    await store.collection("email_confirmations").insert_one(
        {"_id": user.id, "token_hash": user.id, "expires_at": now}
    )
    await store.collection("sign_in_challenges").insert_one(
        {"_id": webhook["id"], "account_id": user.id, "expires_at": now, "tries": 0}
    )
    return tuple(texts)


async def settle_trouble(user: User, store: Store, webhook_id: str) -> None:
    """Give an account a webhook whose endpoint fails, and which has mail that waits."""
    now = utc_now()
    health = EndpointHealth(
        webhook_id=webhook_id,
        failing_since=now,
        failures=1,
        last_error="the endpoint answered 503",
        last_failed_at=now,
    )
    await EndpointHealths(store).write(health)
    await Holdings(store).note(webhook_id, now)
    webhook = await Webhooks(store).owned(user.id, webhook_id)
    assert webhook is not None
    await Notices(store).add(gone_notice(webhook, now + timedelta(days=1)))


async def deleted(client: Client, password: str = PASSWORD) -> Any:
    return await client.delete("/accounts/me", {"password": password})


async def test_everything_of_the_account_goes_and_nothing_else(
    user: User, resident: User, store: Store, mail: Mail, mailbox: Mailbox
) -> None:
    texts = await settle(user, store, mail, mailbox)
    assert await traces(store, *texts) == set(INDEXES)  # else the test misses one
    others = (await resident.new_webhook())["id"]
    reply = await deleted(user.client)
    assert (reply.status, reply.octets) == (204, b"")

    async def gone() -> bool:
        return await traces(store, *texts) <= {"accounts"}

    await eventually(gone, what="the removal")
    mark = await store.collection("accounts").find_one({"_id": user.id})
    assert mark is not None
    assert user.email not in str(mark)
    assert mark["password_hash"] == ""
    (await resident.client.get(f"/webhooks/{others}")).expect(200)


async def test_nobody_gets_in_any_more_and_the_address_is_free(
    user: User, client: Client, store: Store, mailbox: Mailbox
) -> None:
    token = (await user.new_token())["token"]
    (await user.client.post("/accounts/password-reset", {"email": user.email})).expect(202)
    reset = await mailbox.token(user.email)
    (await deleted(user.client)).expect(204)
    for credential in (user.client.token, token):
        reply = await client.with_token(credential).get("/accounts/me")
        assert reply.failure == (401, "unauthorized")
    refresh = {"refresh_token": user.session["refresh_token"]}
    assert (await client.post("/sessions/refresh", refresh)).status == 401
    assert (await client.sign_in(user.email)).failure == (401, "invalid_credentials")
    body = {"token": reset, "new_password": "another password"}
    assert (await client.put("/accounts/password-reset", body)).failure == (401, "invalid_token")
    again = await client.sign_up(user.email)
    assert again["id"] != user.id
    (await client.sign_in(user.email)).expect(200)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"password": "not the password"}, (401, "wrong_password")),
        ({"password": 1}, (422, "validation_error")),
        ({}, (400, "missing_field")),
    ],
)
async def test_without_the_password_nothing_goes(
    user: User, body: object, failure: tuple[int, str]
) -> None:
    webhook = await user.new_webhook()
    assert (await user.client.delete("/accounts/me", body)).failure == failure
    (await user.client.get(f"/webhooks/{webhook['id']}")).expect(200)


async def test_an_api_token_cannot_delete_the_account(user: User, client: Client) -> None:
    token = (await user.new_token())["token"]
    reply = await deleted(client.with_token(token))
    assert reply.failure == (403, "session_required")


@pytest.fixture
async def own_store(stack: Stack) -> AsyncIterator[Store]:
    """A database that no service looks at."""
    settings = StoreSettings(mongodb_url=stack.urls.mongodb, mongodb_database="erasure")
    async with open_store(settings) as store:
        yield store


async def copied(store: Store, own_store: Store, user: User) -> None:
    """Put the account and its webhooks where nobody sweeps."""
    for name in ("accounts", "webhooks", "sessions"):
        key = "_id" if name == "accounts" else "account_id"
        for document in await store.collection(name).find({key: user.id}).to_list(None):
            await own_store.collection(name).insert_one(document)


async def test_what_was_interrupted_is_finished_by_the_next_round(
    user: User, store: Store, own_store: Store
) -> None:
    await user.new_webhook()
    await copied(store, own_store, user)
    settings = StoreSettings()
    account = await Accounts(own_store).of_id(user.id)
    assert account is not None
    mark = account.model_copy(update={"deleted_at": utc_now(), "email": "deleted"})
    await Accounts(own_store).replace(mark)  # and then came the crash
    assert await traces(own_store, user.id) == {"accounts", "sessions", "webhooks"}
    assert await Accounts(own_store).of_id(user.id) is None
    await Erasure(own_store, settings).round()
    assert await traces(own_store, user.id) == {"accounts"}
    await Erasure(own_store, settings, settled=timedelta(0)).round()
    assert await traces(own_store, user.id) == set()


async def test_what_comes_late_is_swept_away_too(
    user: User, store: Store, own_store: Store
) -> None:
    await copied(store, own_store, user)
    account = await Accounts(own_store).of_id(user.id)
    assert account is not None
    erasure = Erasure(own_store, StoreSettings())
    await erasure.begin(account)
    await erasure.round()
    await copied_webhook(own_store, user)
    await erasure.round()
    assert await traces(own_store, user.id) == {"accounts"}
    await Erasure(own_store, StoreSettings(), settled=timedelta(0)).round()


async def copied_webhook(store: Store, user: User) -> None:
    await store.collection("webhooks").insert_one({"_id": "wh_late", "account_id": user.id})


async def test_a_mail_that_came_for_others_too_stays_for_them(
    user: User, store: Store, mail: Mail
) -> None:
    webhook = await user.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], account_id=user.id, shared=True)
    messages = Messages(store, timedelta(days=3))
    await messages.put(Message(f"{delivery.message_id}x", utc_now(), b"another"))
    (await deleted(user.client)).expect(204)

    async def gone() -> bool:
        return await traces(store, delivery.id) == set()

    await eventually(gone, what="the removal")
    assert await messages.kept([delivery.message_id]) == {delivery.message_id: 1}
