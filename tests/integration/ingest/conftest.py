"""The SMTP ingest as a real process: webhooks are put into its store, mails taken off its bus."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractIncomingMessage

from conduit.bus.connection import open_bus
from conduit.bus.packets import from_message
from conduit.bus.topology import LANES
from conduit.events import MailAccepted, decode
from conduit.model.domain import Domain, new_verification_token
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit.settings import BusSettings, StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.domains import Domains
from conduit.store.messages import Messages
from conduit.store.webhooks import Webhooks
from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.integration.ingest.policies import (
    PROXY,
    NewPolicy,
    Sender,
    attached,
    insert_policy,
    new_sender,
)
from tests.support.dns import DnsServer
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

DATABASE = "ingest_tests"
PUBLISH_TIMEOUT = 2.0

Settings = dict[str, str]
NewWebhook = Callable[..., Awaitable[Webhook]]


@pytest.fixture(scope="session")
def settings(infrastructure: Stack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What every ingest here has in common: the session's broker and store, and STARTTLS."""
    tls = tmp_path_factory.mktemp("tls")
    return {
        "CONDUIT_AMQP_URL": infrastructure.urls.amqp,
        "CONDUIT_MONGODB_URL": infrastructure.urls.mongodb,
        "CONDUIT_MONGODB_DATABASE": DATABASE,
        "CONDUIT_PUBLISH_TIMEOUT": str(PUBLISH_TIMEOUT),
        "CONDUIT_SMTP_AUTHENTICATION": "policy",
        "CONDUIT_SMTP_RECIPIENT_LIMIT": "3",
        "CONDUIT_SMTP_TLS_CERTIFICATE": str(tls / "certificate.pem"),
        "CONDUIT_SMTP_TLS_KEY": str(tls / "key.pem"),
        "CONDUIT_SMTP_TLS_SELF_SIGNED": "true",
    }


@pytest.fixture(scope="session")
def running_ingest(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ingest]:
    """One ingest for all tests that leave it as it was."""
    with Ingest(tmp_path_factory.mktemp("ingest"), settings) as ingest:
        yield ingest


@pytest.fixture
def ingest(running_ingest: Ingest) -> Ingest:
    """The common ingest; a test before may have taken its broker away."""
    running_ingest.wait_ready()
    return running_ingest


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The ingest's store."""
    async with open_store(_store_settings(settings)) as store:
        yield store


def _store_settings(settings: Settings) -> StoreSettings:
    return StoreSettings(
        mongodb_url=settings["CONDUIT_MONGODB_URL"], mongodb_database=DATABASE, store_timeout=5
    )


@pytest.fixture
def new_webhook(store: Store) -> NewWebhook:
    """Register webhooks."""

    async def register(**fields: object) -> Webhook:
        return await insert_webhook(store, **fields)

    return register


async def insert_webhook(store: Store, **fields: object) -> Webhook:
    """Register a webhook."""
    identifier, now = new_id(Prefix.WEBHOOK), utc_now()
    known: dict[str, object] = {
        "id": identifier,
        "created_at": now,
        "updated_at": now,
        "account_id": new_id(Prefix.ACCOUNT),
        "address": public_address(identifier, "incoming.localhost"),
        "target_url": "https://example.com/",
        "secret": Sealed("sealed"),
    }
    webhook = Webhook.model_validate(known | fields)
    await Webhooks(store).insert(webhook)
    return webhook


async def insert_claim(store: Store, name: str, account_id: str) -> Domain:
    """Have a domain verified by an account."""
    now = utc_now()
    claim = Domain(
        id=new_id(Prefix.DOMAIN),
        created_at=now,
        updated_at=now,
        account_id=account_id,
        name=name,
        verification_token=new_verification_token(),
        verified=True,
        verified_at=now,
        checked_at=now,
    )
    await Domains(store).insert(claim)
    return claim


@pytest.fixture
async def webhook(new_webhook: NewWebhook) -> Webhook:
    """A webhook of this test's own."""
    return await new_webhook()


class Queued:
    """What the ingest has put on the queue, by webhook."""

    def __init__(self, port: int, messages: Messages, sentinel: Webhook) -> None:
        self._port = port
        self._messages = messages
        self._sentinel = sentinel
        self._events: dict[str, list[MailAccepted]] = {}
        self.lanes: dict[str, str] = {}
        """The queue on which each mail was, by delivery."""

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Keep what came."""
        event = decode(from_message(message))
        assert isinstance(event, MailAccepted)
        self._events.setdefault(event.webhook_id, []).append(event)
        self.lanes[event.delivery_id] = str(message.routing_key)

    def of(self, webhook: Webhook) -> list[MailAccepted]:
        """Return the mails to a webhook so far."""
        return self._events.get(webhook.id, [])

    async def expect(self, webhook: Webhook, count: int = 1) -> list[MailAccepted]:
        """Return the mails to a webhook once there are so many."""
        await eventually(
            lambda: len(self._events.get(webhook.id, [])) >= count, what=f"{count} mails"
        )
        events = self._events[webhook.id]
        assert len(events) == count
        return events

    async def expect_content(self, webhook: Webhook, content: bytes) -> MailAccepted:
        """Expect one mail with these octets below our own fields, wherever they are kept."""
        [event] = await self.expect(webhook)
        raw = await self._messages.get(event.message_id) if event.raw is None else event.raw
        assert raw is not None
        assert event.size == len(raw)
        ours, received = raw[: len(raw) - len(content)], raw[len(raw) - len(content) :]
        assert received == content
        # One folded field, and an empty line below it where the mail has no header.
        assert re.fullmatch(rb"Received: from [^\r\n]+\r\n(\t[^\r\n]+\r\n)*(\r\n)?", ours)
        return event

    async def expect_none(self, webhook: Webhook) -> None:
        """Nothing came: a mail that is sent now is the next one."""
        before = len(self._events.get(self._sentinel.id, []))
        async with greeted(self._port) as client:
            assert (await client.mail(b"\r\n", self._sentinel.address)).startswith("250 ")
        await self.expect(self._sentinel, before + 1)
        assert webhook.id not in self._events


@pytest.fixture
async def queued(settings: Settings, store: Store, ingest: Ingest) -> AsyncIterator[Queued]:
    """What arrives on the queue during this test."""
    async with watch(settings, store, ingest.port) as queued:
        yield queued


@asynccontextmanager
async def watch(settings: Settings, store: Store, port: int) -> AsyncIterator[Queued]:
    """Take everything off the queues of deliveries."""
    url = settings["CONDUIT_AMQP_URL"]
    sentinel = await insert_webhook(store)
    messages = Messages(store, StoreSettings().message_retention)
    queued = Queued(port, messages, sentinel)
    async with open_bus(BusSettings(amqp_url=url)) as bus:
        channel = await bus.channel()
        for lane in LANES:
            queue = await channel.get_queue(lane, ensure=False)
            await queue.consume(queued.take, no_ack=True)
        yield queued  # the consumers end with the connection, which may not be back after a test


@pytest.fixture
def new_ingest(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Ingest]]:
    """Make ingests with settings of a test's own, not yet started; they are ended with the test."""
    made: list[Ingest] = []

    def make(**changed: str) -> Ingest:
        names = {f"CONDUIT_{name.upper()}": value for name, value in changed.items()}
        made.append(Ingest(tmp_path, settings | names))
        return made[-1]

    yield make
    for ingest in made:
        ingest.kill()


@pytest.fixture(scope="session")
def dns_port() -> int:
    """Where the DNS server of a test listens."""
    return Ports.free().store


@pytest.fixture
async def dns(dns_port: int) -> AsyncIterator[DnsServer]:
    """The DNS server that `policed` asks. What it says is remembered for longer than a test."""
    async with DnsServer(dns_port) as server:
        yield server


@pytest.fixture(scope="session")
def policed_ingest(
    settings: Settings, dns_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ingest]:
    """One ingest that looks into every mail, and into what a policy is at present."""
    changed = {
        "CONDUIT_DNS_SERVERS": f"127.0.0.1:{dns_port}",
        "CONDUIT_SMTP_AUTHENTICATION": "always",
        "CONDUIT_SMTP_AUTH_FAILURE_LIMIT_PER_IP": "1000",
        "CONDUIT_SMTP_HOSTNAME": "mx.conduit.example",
        "CONDUIT_SMTP_PROXY_NETWORKS": f"{PROXY}/32",
        "CONDUIT_SMTP_SYNC_LIMIT": "1",
        "CONDUIT_SMTP_WEBHOOK_CACHE": "0.2",
    }
    with Ingest(tmp_path_factory.mktemp("policed"), settings | changed) as ingest:
        yield ingest


@pytest.fixture
def policed(policed_ingest: Ingest, dns: DnsServer) -> Ingest:
    """The ingest that looks into every mail; a test before may have taken its broker away."""
    policed_ingest.wait_ready()
    return policed_ingest


@pytest.fixture
def sender(dns: DnsServer) -> Sender:
    """A sender of this test's own."""
    return new_sender(dns)


@pytest.fixture
def user() -> str:
    """A name that no other test's policy has."""
    return f"user-{uuid4().hex}"


@pytest.fixture
def new_policy(store: Store) -> NewPolicy:
    """Make policies."""
    return partial(insert_policy, store)


@pytest.fixture
def under_policy(new_policy: NewPolicy, new_webhook: NewWebhook) -> NewWebhook:
    """Make webhooks, each with a policy of its own that has these fields."""

    async def register(**fields: object) -> Webhook:
        return await attached(new_webhook, await new_policy(**fields))

    return register
