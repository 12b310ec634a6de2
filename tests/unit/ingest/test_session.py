"""A session over a socket pair, its neighbours in memory: what a real process shows too late."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conduit.errors import BrokerUnavailable
from conduit.events import MailAccepted, Packet, decode
from conduit.mail.address import Address
from conduit.model.authentication import AuthResults
from conduit.model.envelope import Envelope
from conduit.model.message import Message
from conduit.model.policy import SmtpPolicy
from conduit.model.verdict import Reason
from conduit.model.webhook import DeliveryMode, Sealed, Webhook
from conduit_smtp_ingest import dialogue
from conduit_smtp_ingest.directory import Found
from conduit_smtp_ingest.failures import AuthFailures
from conduit_smtp_ingest.intake import Intake
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.listener import Listener
from conduit_smtp_ingest.neighbours import Neighbours, Terms
from conduit_smtp_ingest.replies import Reply
from conduit_smtp_ingest.server import Server
from conduit_smtp_ingest.session import SmtpSession
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.synchronous import Conclusion
from tests.support.polling import eventually
from tests.support.smtp import Client

NOW = datetime(2028, 1, 1, tzinfo=UTC)
WEBHOOK = Webhook(
    id="wh_1",
    created_at=NOW,
    updated_at=NOW,
    account_id="acc_1",
    address="a@example.com",
    target_url="https://example.com/",
    secret=Sealed("sealed"),
)
LIMITS = Limits(
    hostname="mx.example",
    size=10_000,
    line=1_000,
    command_line=2_048,
    commands=200_000,
    errors=9,
    unknown=9,
    auth_failures=3,
    idle=30,
    total=60,
    data_rate=500,
    greeting_delay=0,
)
MEMORY = 100_000
AWAY = "451 4.3.0 Temporary failure, try again later"


class Bus:
    """Keeps what is published; waits and fails as the test says."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.asked = False

    async def publish(self, packet: Packet, queue: str) -> None:
        assert queue == "queue"
        self.asked = True
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.packets.append(packet)

    def mails(self) -> list[MailAccepted]:
        return [mail for mail in map(decode, self.packets) if isinstance(mail, MailAccepted)]


class Store:
    """Keeps large mails."""

    def __init__(self) -> None:
        self.kept: list[Message] = []

    async def put(self, message: Message) -> None:
        self.kept.append(message)


class House:
    """What the sessions of a test share."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.store = Store()
        self.budget = Budget(MEMORY)
        self.sessions = Sessions(10, 10)
        self.limits = LIMITS
        self.refused: list[tuple[str, Reason, str]] = []
        self.look_up: Callable[[str], Awaitable[Webhook | None]] = self._look_up

    async def _look_up(self, address: str) -> Webhook | None:
        return WEBHOOK if address == WEBHOOK.address else None

    async def find(self, address: Address) -> Found | None:
        webhook = await self.look_up(address.key)
        return None if webhook is None else Found(webhook, webhook.account_id, None)

    async def verify(self, _username: str, _password: str) -> frozenset[str]:
        return frozenset()

    async def policy_of(self, _ids: tuple[str, str]) -> SmtpPolicy | None:
        return None

    async def results(
        self, raw: bytes, *, remote_ip: str, helo: str, sender: Address | None
    ) -> AuthResults:
        raise NotImplementedError

    async def deliver(self, event: MailAccepted, mode: DeliveryMode) -> Conclusion:
        raise NotImplementedError

    def note(
        self,
        webhook_id: str,
        reason: Reason,
        reply: Reply,
        envelope: Envelope,
        smtp_message_id: str | None = None,
    ) -> None:
        self.refused.append((webhook_id, reason, str(reply)))

    def listener(self) -> Listener:
        neighbours = Neighbours(
            directory=self,
            policy_of=self.policy_of,
            authenticator=self,
            lane_of=lambda _webhook_id: "queue",
            publisher=self.bus,
            messages=self.store,
            sync=self,
            refusals=self,
        )
        terms = Terms(
            LIMITS.size // 2,
            "mx.example",
            authenticate_all=False,
            recipients=9,
            sync_limit=1,
        )
        return Listener(
            Server(
                intake=Intake(neighbours, terms),
                credentials=self,
                auth_failures=AuthFailures(9, 60, 9),
                sessions=self.sessions,
                limits=self.limits,
                budget=self.budget,
                tls=None,
            )
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect and say EHLO."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            self.listener(), theirs
        )
        reader, writer = await asyncio.open_connection(sock=ours)
        client = Client(reader, writer)
        try:
            assert await client.reply() == "220 mx.example ESMTP"
            await client.expect("EHLO client.example", "250")
            yield client
        finally:
            writer.transport.abort()
            transport.abort()
            await eventually(lambda: not self.sessions._open, what="the end of the sessions")

    def memory_is_free(self) -> bool:
        """Whether all memory for mails has been given back."""
        if not self.budget.take(MEMORY):
            return False
        self.budget.give_back(MEMORY)
        return True


@pytest.fixture
async def server() -> House:
    return House()


async def test_a_mail(server: House) -> None:
    async with server.client() as client:
        reply = await client.mail(b"x\r\n", WEBHOOK.address)
    [mail] = server.bus.mails()
    assert reply == f"250 2.0.0 queued as {mail.delivery_id}"
    assert mail.raw is not None
    assert mail.raw.startswith(b"Received: from client.example ")
    assert mail.raw.endswith(b"\r\n\r\nx\r\n")
    assert (mail.webhook_id, mail.size) == ("wh_1", len(mail.raw))
    assert mail.envelope.helo == "client.example"


async def test_a_large_mail_is_kept_before_it_is_published(server: House) -> None:
    content = (b"x" * 98 + b"\r\n") * 60
    async with server.client() as client:
        assert (await client.mail(content, WEBHOOK.address)).startswith("250 ")
    [mail], [message] = server.bus.mails(), server.store.kept
    assert mail.raw is None
    assert (mail.message_id, mail.size) == (message.id, len(message.raw))
    assert message.raw.endswith(b"\r\n" + content)


async def test_a_broker_in_doubt_is_a_451(server: House) -> None:
    server.bus.failure = BrokerUnavailable("no confirm from amqp.internal")
    async with server.client() as client:
        assert await client.mail(b"x\r\n", WEBHOOK.address) == AWAY
        server.bus.failure = None
        assert (await client.mail(b"x\r\n", WEBHOOK.address)).startswith("250 ")
    assert server.memory_is_free()


async def test_a_fault_is_a_451_without_detail(server: House) -> None:
    async def broken(_address: str) -> Webhook | None:
        raise RuntimeError("the secret of the house")

    server.look_up = broken
    async with server.client() as client:
        await client.expect("MAIL FROM:<>", "250")
        assert await client.command(f"RCPT TO:<{WEBHOOK.address}>") == AWAY
        assert await client.command("DATA") == "503 5.5.1 Send RCPT first"
    server = House()
    server.bus.failure = RuntimeError("the secret of the house")
    async with server.client() as client:
        assert await client.mail(b"x\r\n", WEBHOOK.address) == AWAY
        assert await client.command("MAIL FROM:<>") == "250 2.1.0 OK"
    assert server.memory_is_free()


async def test_a_client_that_leaves_does_not_undo_its_mail_nor_free_its_memory(
    server: House,
) -> None:
    server.bus.open.clear()
    async with server.client() as client:
        await client.begin(WEBHOOK.address)
        await client.send(b"x\r\n.\r\n")
        await eventually(lambda: server.bus.asked, what="the publish")
        client.writer.transport.abort()
        retiring = asyncio.ensure_future(server.sessions.retire())
        await asyncio.wait([retiring], timeout=0.2)
        assert not retiring.done()
        assert not server.memory_is_free()
        server.bus.open.set()
        await retiring
    assert len(server.bus.mails()) == 1
    assert server.memory_is_free()


async def test_a_client_that_waits_for_its_reply_is_not_timed_out(server: House) -> None:
    server.limits = replace(LIMITS, idle=0.05)
    server.bus.open.clear()
    async with server.client() as client:
        await client.begin(WEBHOOK.address)
        await client.send(b"x\r\n.\r\n")
        waiting = asyncio.ensure_future(client.reply())
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        server.bus.open.set()
        assert (await waiting).startswith("250 2.0.0 queued")
        assert await client.rest() == b"421 4.4.2 Timeout, closing the connection\r\n"


async def test_a_client_that_reads_nothing_is_cut_off(
    server: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "_LINGER", 0.1)
    server.limits = replace(LIMITS, idle=0.1)
    async with server.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"HELP\r\n" * 100_000)
        await eventually(lambda: not server.sessions._open, what="the end of the session")


async def test_a_stop_waits_for_the_mail_and_not_for_silence(
    server: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "_PATIENCE", 0.1)
    server.bus.open.clear()
    async with server.client() as idle, server.client() as begun, server.client() as sent:
        await begun.expect("MAIL FROM:<>", "250")
        await sent.begin(WEBHOOK.address)
        await sent.send(b"x\r\n.\r\n")
        await eventually(lambda: server.bus.asked, what="the publish")
        stopping = asyncio.ensure_future(server.sessions.retire())
        for client in (idle, begun):
            assert await client.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        await asyncio.wait([stopping], timeout=0.2)
        assert not stopping.done()
        server.bus.open.set()
        assert (await sent.reply()).startswith("250 2.0.0 queued")
        assert await sent.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        await stopping


async def test_without_a_certificate_there_is_no_starttls(server: House) -> None:
    async with server.client() as client:
        assert "STARTTLS" not in await client.command("EHLO a")
        assert await client.command("STARTTLS") == "502 5.5.1 TLS is not available"


def test_no_verb_is_left_to_the_library() -> None:
    verbs = {name for name in dir(SmtpSession) if name.startswith("smtp_")}
    assert verbs <= set(vars(SmtpSession))
