"""The API service as it runs for users, with a broker and a store of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiohttp import ClientSession, TCPConnector

from conduit.bus.connection import open_bus
from conduit.settings import BusSettings, StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.messages import Messages
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User, new_address, new_email
from tests.integration.api.dispatcher import Dispatcher
from tests.integration.api.mail import Mail
from tests.integration.api.mailbox import Mailbox
from tests.integration.api.verifier import Verifier
from tests.support.polling import PATIENCE

SIGN_INS_PER_ADDRESS = 8
SIGN_INS_PER_ACCOUNT = 12
SIGN_UPS_PER_ADDRESS = 5
REFRESHES_PER_ACCOUNT = 60
SIMULATIONS_PER_ACCOUNT = 5
DOWNLOADS_PER_ADDRESS = 20
STORE_TIMEOUT = 5
BODY_TIMEOUT = 2
PAGE_ORIGIN = "https://app.example.com"
PROXY = "127.255.0.1"  # no other client has it

SETTINGS = {
    "CONDUIT_API_SIGN_INS_PER_ADDRESS": str(SIGN_INS_PER_ADDRESS),
    "CONDUIT_API_SIGN_INS_PER_ACCOUNT": str(SIGN_INS_PER_ACCOUNT),
    "CONDUIT_API_SIGN_UPS_PER_ADDRESS": str(SIGN_UPS_PER_ADDRESS),
    "CONDUIT_API_REFRESHES_PER_ACCOUNT": str(REFRESHES_PER_ACCOUNT),
    "CONDUIT_API_SIMULATIONS_PER_ACCOUNT": str(SIMULATIONS_PER_ACCOUNT),
    "CONDUIT_API_DOWNLOADS_PER_ADDRESS": str(DOWNLOADS_PER_ADDRESS),
    "CONDUIT_STORE_TIMEOUT": str(STORE_TIMEOUT),
    "CONDUIT_API_BODY_TIMEOUT": str(BODY_TIMEOUT),
    "CONDUIT_API_CORS_ORIGINS": f"https://other.example.com,{PAGE_ORIGIN}",
    "CONDUIT_TRUSTED_PROXIES": f"192.0.2.0/24,{PROXY}",
    "CONDUIT_EGRESS_ALLOW_HTTP": "false",
}

NewClient = Callable[[], Client]
NewUser = Callable[[], Awaitable[User]]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The API service, its broker and its store."""
    programs = ("store", "rabbitmq", "api")
    with Stack.isolated(tmp_path_factory.mktemp("api"), programs, SETTINGS) as stack:
        yield stack


@pytest.fixture
async def new_client(stack: Stack) -> AsyncIterator[NewClient]:
    """Make clients, each with an address of its own."""
    async with AsyncExitStack() as opened:

        def make() -> Client:
            http = ClientSession(connector=TCPConnector(local_addr=(new_address(), 0)))
            opened.push_async_callback(http.close)
            return Client(http, stack.urls.api)

        yield make


@pytest.fixture
async def client(new_client: NewClient) -> Client:
    """A client that is not signed in."""
    return new_client()


@pytest.fixture
def new_user(new_client: NewClient) -> NewUser:
    """Make accounts and sign in."""

    async def make() -> User:
        client, email = new_client(), new_email()
        account = await client.sign_up(email)
        session = (await client.sign_in(email)).expect(200)
        return User(account, session, client.with_token(session["access_token"]))

    return make


@pytest.fixture
async def user(new_user: NewUser) -> User:
    """Somebody who is signed in."""
    return await new_user()


@pytest.fixture
def mailbox(stack: Stack) -> Mailbox:
    """The mails that Conduit has sent."""
    return Mailbox(stack.data_dir / "mail")


@pytest.fixture(scope="session")
def residents() -> list[User]:
    """Whoever is there for the whole session."""
    return []


@pytest.fixture
async def resident(residents: list[User], new_user: NewUser, client: Client) -> User:
    """Somebody whom tests share that neither count nor change what is there."""
    if not residents:
        residents.append(await new_user())
    user = residents[0]
    return User(user.account, user.session, client.with_token(user.client.token))


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[Store]:
    """The service's store, for what other services write."""
    settings = StoreSettings(mongodb_url=stack.urls.mongodb, store_timeout=PATIENCE)
    async with open_store(settings) as store:
        yield store


@pytest.fixture
def domains(store: Store) -> Domains:
    """The claims in the service's store."""
    return Domains(store)


@pytest.fixture
def logs(store: Store) -> DeliveryLogs:
    """The delivery logs in the service's store."""
    return DeliveryLogs(store, timedelta(days=30))


@pytest.fixture
def mail(store: Store, logs: DeliveryLogs) -> Mail:
    """What a dispatcher leaves of the mails that it handled."""
    return Mail(Deliveries(store, timedelta(days=30)), logs, Messages(store, timedelta(days=3)))


@pytest.fixture
async def dispatcher(stack: Stack) -> AsyncIterator[Dispatcher]:
    """A dispatcher on the service's bus that says what a test tells it."""
    async with open_bus(BusSettings(amqp_url=stack.urls.amqp)) as bus:
        dispatcher = Dispatcher(bus)
        await dispatcher.start()
        yield dispatcher
        async with asyncio.timeout(PATIENCE):
            await dispatcher.stop()


@pytest.fixture
async def verifier(stack: Stack, domains: Domains) -> AsyncIterator[Verifier]:
    """A verifier on the service's bus that finds what a test tells it."""
    async with open_bus(BusSettings(amqp_url=stack.urls.amqp)) as bus:
        verifier = Verifier(bus, domains)
        await verifier.start()
        yield verifier
        async with asyncio.timeout(PATIENCE):
            await verifier.stop()
