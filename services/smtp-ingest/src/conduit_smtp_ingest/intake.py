"""The receive story: who a mail is for, and how it becomes durable before its 250."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter, Histogram

from conduit.errors import Unavailable
from conduit.events import MailAccepted, Packet, encode
from conduit.mail.address import Address
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit.model.verdict import Accept, Defer, Reason, Verdict
from conduit.model.webhook import Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit_smtp_ingest.policy import decide_message, decide_recipient
from conduit_smtp_ingest.replies import Reply, for_verdict, queued

log = logging.getLogger(__name__)

ACCEPTED = Counter("conduit_ingest_accepted", "Mails that got their 250.")
REFUSED = Counter("conduit_ingest_refused", "Recipients and mails refused.", ["reason"])
DURABLE = Histogram(
    "conduit_ingest_durable_seconds",
    "From the end of DATA until the mail was durable.",
    buckets=LATENCY_BUCKETS,
)


class Publishes(Protocol):
    """What the intake needs of the bus: return when durable, raise Unavailable when in doubt."""

    async def publish(self, packet: Packet, queue: str) -> None:
        """Publish a packet to a queue."""


class Keeps(Protocol):
    """What the intake needs of the store, for mails too large for the bus."""

    async def put(self, message: Message) -> None:
        """Keep the octets of a mail; return when they are durable."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted RCPT and the webhook that it leads to."""

    address: Address
    webhook: Webhook


@dataclass(slots=True)
class Transaction:
    """One mail while its commands arrive (RFC 5321 §3.3)."""

    sender: Address | None
    utf8: bool
    recipients: list[Recipient] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """Whether the mail is for more than one account."""
        return len({recipient.webhook.account_id for recipient in self.recipients}) > 1

    def by_webhook(self) -> dict[str, tuple[str, ...]]:
        """The addresses that lead to each webhook: a mail is delivered once to each."""
        addresses: dict[str, tuple[str, ...]] = {}
        for recipient in self.recipients:
            known = addresses.get(recipient.webhook.id, ())
            if str(recipient.address) not in known:
                addresses[recipient.webhook.id] = (*known, str(recipient.address))
        return addresses


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of who is connected."""

    helo: str
    remote_ip: str
    tls: str | None


class Intake:
    """Decides over recipients, and makes accepted mails durable."""

    def __init__(
        self,
        webhook_of: Callable[[str], Awaitable[Webhook | None]],
        domain_owner_of: Callable[[str], Awaitable[str | None]],
        publisher: Publishes,
        messages: Keeps,
        *,
        queue: str,
        bus_limit: int,
    ) -> None:
        self._webhook_of = webhook_of
        self._domain_owner_of = domain_owner_of
        self._publisher = publisher
        self._messages = messages
        self._queue = queue
        self._bus_limit = bus_limit

    async def recipient(self, address: Address) -> tuple[Verdict, Webhook | None]:
        """Decide over one RCPT."""
        try:
            webhook = await self._webhook_of(address.key)
            owner = await self._domain_owner_of(webhook.domain) if webhook else None
        except Unavailable as error:
            log.warning("ingest.store_away", extra={"error": str(error)})
            return _counted(Defer(Reason.UNAVAILABLE)), None
        verdict = _counted(decide_recipient(webhook, owner))
        if isinstance(verdict, Defer) and webhook is not None:
            _log_deferred(webhook, verdict)
        return verdict, webhook

    async def accept(self, raw: bytes, transaction: Transaction, client: Client) -> Sequence[Reply]:
        """Decide over a mail, make it durable, and only then say 250. Any doubt is 4xx."""
        verdict = _counted(decide_message(raw))
        if not isinstance(verdict, Accept):
            return [for_verdict(verdict)]
        message = Message(new_id(Prefix.MESSAGE), utc_now(), raw)
        events = list(_events(message, transaction, client))
        try:
            with DURABLE.time():
                await self._make_durable(message, events)
        except Unavailable as error:
            log.warning("ingest.in_doubt", extra={"message_id": message.id, "error": str(error)})
            return [for_verdict(_counted(Defer(Reason.UNAVAILABLE)))]
        _log_accepted(message, events, client)
        return queued([event.delivery_id for event in events])

    async def _make_durable(self, message: Message, events: Sequence[MailAccepted]) -> None:
        if message.size > self._bus_limit:
            await self._messages.put(message)
            packets = [encode(event.by_reference()) for event in events]
        else:
            packets = [encode(event) for event in events]
        await asyncio.gather(*(self._publisher.publish(p, self._queue) for p in packets))


def _events(message: Message, transaction: Transaction, client: Client) -> Iterable[MailAccepted]:
    for webhook_id, addresses in transaction.by_webhook().items():
        yield MailAccepted(
            delivery_id=new_id(Prefix.DELIVERY),
            message_id=message.id,
            webhook_id=webhook_id,
            envelope=Envelope(
                mail_from="" if transaction.sender is None else str(transaction.sender),
                recipients=addresses,
                helo=client.helo,
                remote_ip=client.remote_ip,
                tls=client.tls,
            ),
            received_at=message.received_at,
            size=message.size,
            raw=message.raw,
            shared=transaction.shared,
        )


def _counted(verdict: Verdict) -> Verdict:
    if not isinstance(verdict, Accept):
        REFUSED.labels(verdict.reason).inc()
    return verdict


def _log_deferred(webhook: Webhook, verdict: Defer) -> None:
    """Say why a known address takes no mail: its sender is told no more than to try again."""
    log.warning(
        "recipient.deferred",
        extra={
            "reason": verdict.reason,
            "webhook_id": webhook.id,
            "account_id": webhook.account_id,
            "domain": webhook.domain,
            "policy_id": webhook.smtp_security_policy_id,
        },
    )


def _log_accepted(message: Message, events: Sequence[MailAccepted], client: Client) -> None:
    ACCEPTED.inc()
    log.info(
        "mail.accepted",
        extra={
            "message_id": message.id,
            "delivery_ids": [event.delivery_id for event in events],
            "webhook_ids": [event.webhook_id for event in events],
            "sender": events[0].envelope.mail_from,
            "size": message.size,
            "remote_ip": client.remote_ip,
            "helo": client.helo,
            "tls": client.tls,
        },
    )
