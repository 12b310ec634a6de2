"""The API as it runs, twice: an owner gets one mail, and one webhook is paused once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiohttp import ClientSession, TCPConnector

from conduit.model.endpoint_health import EndpointHealth
from conduit.model.record import utc_now
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.endpoint_health import EndpointHealths
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User, new_address
from tests.integration.api.conftest import NewClient, NewUser
from tests.integration.api.mailbox import Mailbox
from tests.support.log_lines import log_lines
from tests.support.polling import eventually

DATABASE = "replicas"
OWNERS = 5
NOTICE_AFTER, PAUSE_AFTER = 60, 300


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Mailbox:
    """The mails of both."""
    return Mailbox(tmp_path_factory.mktemp("post"))


@pytest.fixture(scope="module")
def replicas(
    stack: Stack, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Stack]]:
    """Two API services on one database of their own, whose mails go to one directory."""
    settings = {
        "CONDUIT_AMQP_URL": stack.urls.amqp,
        "CONDUIT_MONGODB_URL": stack.urls.mongodb,
        "CONDUIT_MONGODB_DATABASE": DATABASE,
        "CONDUIT_MAIL_DIRECTORY": str(mailbox.directory),
        "CONDUIT_FAILING_NOTICE_AFTER": str(NOTICE_AFTER),
        "CONDUIT_FAILING_PAUSE_AFTER": str(PAUSE_AFTER),
    }
    directories = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    one, other = (Stack.isolated(each, ("api",), settings) for each in directories)
    with one, other:
        yield [one, other]


@pytest.fixture
async def new_client(replicas: list[Stack]) -> AsyncIterator[NewClient]:
    async with AsyncExitStack() as opened:

        def make() -> Client:
            http = ClientSession(connector=TCPConnector(local_addr=(new_address(), 0)))
            opened.push_async_callback(http.close)
            return Client(http, replicas[0].urls.api)

        yield make


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[Store]:
    settings = StoreSettings(mongodb_url=stack.urls.mongodb, mongodb_database=DATABASE)
    async with open_store(settings) as store:
        yield store


async def failing(user: User, store: Store, seconds: int) -> str:
    """Make a webhook whose endpoint has failed for so long; return its id."""
    webhook_id = str((await user.new_webhook())["id"])
    now = utc_now()
    health = EndpointHealth(
        webhook_id=webhook_id,
        failing_since=now - timedelta(seconds=seconds),
        failures=9,
        last_error="the endpoint answered 503",
        last_failed_at=now,
    )
    assert await EndpointHealths(store).write(health) is not None
    return webhook_id


async def test_each_owner_is_told_once_and_each_webhook_paused_once(
    new_user: NewUser, store: Store, mailbox: Mailbox, replicas: list[Stack]
) -> None:
    users = [await new_user() for _ in range(OWNERS)]
    for user in users:
        await failing(user, store, NOTICE_AFTER)
    paused = {user.id: await failing(user, store, PAUSE_AFTER) for user in users}

    def all_told() -> bool:
        return all(len(mailbox.mails(user.email)) == 2 for user in users)

    await eventually(all_told, within=30, what="the mails")
    for user in users:
        webhook = (await user.client.get(f"/webhooks/{paused[user.id]}")).expect(200)
        assert webhook["paused_at"] > webhook["failing_since"]
        entries = (await user.client.get("/accounts/me/audit-log?limit=50")).expect(200)
        assert [entry["action"] for entry in entries].count("webhook.paused") == 1
    lines = [line for each in replicas for line in log_lines(each.log("api"))]
    told = [line["to"] for line in lines if line.get("event") == "mail.kept"]
    assert sorted(told) == sorted(2 * [user.email for user in users])
    assert len([line for line in lines if line.get("event") == "webhook.paused"]) == OWNERS
