"""Both ends of the dispatcher: webhooks and mails put in, records read out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from pydantic import TypeAdapter

from conduit.bus.connection import Bus, open_bus
from conduit.bus.packets import from_message
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES, DELIVERIES_DEAD
from conduit.events import Event, MailAccepted, decode, encode
from conduit.model.delivery import Attempt, Delivery, Result
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.notice import Notice
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook, public_address
from conduit.security.secrets import SecretBox
from conduit.settings import BusSettings, Keys, StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.holdings import Holdings
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.webhooks import Webhooks
from conduit_local.stack import Stack
from conduit_smtp_ingest.settings import IngestSettings
from conduit_smtp_ingest.shares import Shares
from tests.support.polling import PATIENCE, eventually

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
MAIL = (
    b"From: Ann <ann@example.com>\r\nTo: alerts@example.org\r\nSubject: Hello\r\n"
    b"Message-ID: <1@example.com>\r\n\r\nIt works.\r\n"
)


class Mailroom:
    """Acts as the API (webhooks) and as the ingest (mails), on the real store and broker."""

    def __init__(self, store: Store, bus: Bus, publisher: Publisher, box: SecretBox) -> None:
        self._bus = bus
        self._publisher = publisher
        self._box = box
        self.webhooks = Webhooks(store)
        self.logs = DeliveryLogs(store, timedelta(days=30))
        self.messages = Messages(store, timedelta(days=3))
        self._notices = Notices(store)
        self.deliveries = Deliveries(store, timedelta(days=30))
        self.healths = EndpointHealths(store)
        self.holdings = Holdings(store)
        self.publisher = publisher
        self._deliveries = store.collection("deliveries")
        self._chunks = store.collection("messages")
        self._logs = store.collection("delivery_logs")
        self._slots = store.collection("slots")

    async def webhook(
        self, target_url: str, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> Webhook:
        """Register a webhook."""
        identifier, now = new_id(Prefix.WEBHOOK), utc_now()
        webhook = Webhook(
            id=identifier,
            created_at=now,
            updated_at=now,
            account_id=new_id(Prefix.ACCOUNT),
            address=public_address(identifier, "incoming.localhost"),
            target_url=target_url,
            secret=self._box.seal(SECRET, identifier),
            custom_headers={
                name: self._box.seal(value, identifier) for name, value in (headers or {}).items()
            },
            **fields,
        )
        await self.webhooks.insert(webhook)
        return webhook

    async def rotate(self, webhook: Webhook, secret: str, until: datetime) -> Webhook:
        """Give a webhook a new secret, the old one being good until this moment."""
        return await self.webhooks.replace(
            webhook.model_copy(
                update={
                    "secret": self._box.seal(secret, webhook.id),
                    "previous_secret": webhook.secret,
                    "previous_secret_until": until,
                }
            )
        )

    async def pause(self, webhook: Webhook) -> Webhook:
        """Pause a webhook, as the API's watch does."""
        return await self._changed(webhook, paused_at=utc_now())

    async def resume(self, webhook: Webhook) -> Webhook:
        """Resume it, as its owner does."""
        resumed = await self._changed(webhook, paused_at=None)
        await self.healths.forget([webhook.id])
        return resumed

    async def leave_alone(self, webhook: Webhook, pause: timedelta) -> EndpointHealth:
        """Have an endpoint not called for a while, as when it has failed often enough."""
        now = utc_now()
        health = EndpointHealth(
            webhook_id=webhook.id,
            failing_since=now,
            failures=10,
            last_error="the endpoint answered 500",
            last_failed_at=now,
            retry_at=now + pause,
            pauses=1,
        )
        written = await self.healths.write(health)
        assert written is not None
        return written

    async def _changed(self, webhook: Webhook, **changes: Any) -> Webhook:
        current = await self.webhooks.of_id(webhook.id)
        assert current is not None
        return await self.webhooks.replace(current.model_copy(update=changes))

    async def held(self, webhook: Webhook, count: int, within: float = PATIENCE) -> list[Delivery]:
        """Return the deliveries of a webhook that wait in the store, once they are so many."""

        async def found() -> list[Delivery] | None:
            held = await self.deliveries.held(webhook.id, count + 1)
            return held if len(held) == count else None

        held = await eventually(found, within=within, what=f"{count} held mails")
        assert held is not None
        return held

    async def accept(
        self,
        webhook: Webhook,
        raw: bytes = MAIL,
        *,
        stored: bool = False,
        lane: str = DELIVERIES,
    ) -> MailAccepted:
        """Put a mail on the queue, or beside it into the store, as the ingest does."""
        event = accepted(webhook, raw)
        if stored:
            await self.messages.put(Message(event.message_id, event.received_at, raw))
            event = event.by_reference()
        await self.publish(event, lane)
        return event

    async def publish(self, event: Event, lane: str = DELIVERIES, *, begun: bool = False) -> None:
        """Put an event on a queue of deliveries; `begun`, as one that came before."""
        await self._publisher.publish(encode(event), lane, begun=begun)

    async def attempts(
        self, webhook: Webhook, count: int, within: float = PATIENCE
    ) -> list[Attempt]:
        """Return a webhook's log, oldest first, once it has `count` entries."""

        async def found() -> list[Attempt]:
            page = await self.logs.page(webhook.id, 1, 100)
            entries = [entry for entry in page if isinstance(entry, Attempt)]
            return entries[::-1] if len(entries) >= count else []

        entries: list[Attempt] = await eventually(found, within=within, what=f"{count} log entries")
        assert len(entries) == count
        return entries

    async def kept(self, event: MailAccepted) -> bytes:
        """Return a mail once it is kept, which is written beside its delivery and its attempt."""

        async def found() -> bytes | None:
            return await self.messages.get(event.message_id)

        return await eventually(found, what="the kept mail") or b""

    async def crash_after_recording(self, event: MailAccepted, result: Result) -> None:
        """Take an event from the queue, record its attempt, and end without acknowledging it."""
        channel = await self._bus.channel()
        queue = await channel.get_queue(DELIVERIES, ensure=False)
        # What else is there goes back to the queue, unacknowledged.
        while decode(from_message(await queue.get(timeout=5))) != event:
            continue
        attempt = Attempt(
            id=new_id(Prefix.LOG),
            delivery_id=event.delivery_id,
            webhook_id=event.webhook_id,
            number=event.attempt,
            smtp_message_id=None,
            sender=event.envelope.mail_from,
            result=result,
            http_status=None,
            error=None,
            duration_ms=1,
            attempted_at=utc_now(),
        )
        await self.logs.add([attempt])
        await channel.close()

    async def delivery(self, event: MailAccepted) -> dict[str, Any] | None:
        """Return the record of a delivery."""
        return await self.delivery_of(event.delivery_id)

    async def delivery_of(self, delivery_id: str) -> dict[str, Any] | None:
        """Return the record with this id."""
        return await self._deliveries.find_one({"_id": delivery_id})

    async def notices_about(self, webhook: Webhook) -> list[Notice]:
        """Return what a webhook's owner is to be told."""
        due = await self._notices.due(utc_now() + timedelta(hours=1), 1_000)
        return [notice for notice in due if notice.webhook_id == webhook.id]

    async def recorded(self) -> dict[str, int]:
        """Return how many deliveries, attempts and mails the store holds in all."""
        kept = {"deliveries": self._deliveries, "attempts": self._logs, "mails": self._chunks}
        return {name: await records.count_documents({}) for name, records in kept.items()}

    async def next_slot(self, webhook: Webhook) -> datetime:
        """Return the moment from which a rate-limited webhook may be called again."""
        slot = await self._slots.find_one({"_id": webhook.id})
        assert slot is not None
        moment: datetime = slot["next_at"]
        return moment

    async def chunks(self, event: MailAccepted) -> list[dict[str, Any]]:
        """Return the documents in which an event's mail is kept."""
        return await self._chunks.find({"_id": {"$regex": f"^{event.message_id}:"}}).to_list(None)

    async def dead(self, event: MailAccepted) -> MailAccepted:
        """Return the event from the dead-letter queue once it is there."""
        found: dict[str, MailAccepted] = {}

        async def take(message: AbstractIncomingMessage) -> None:
            taken = decode(from_message(message))
            assert isinstance(taken, MailAccepted)
            found[taken.delivery_id] = taken

        channel = await self._bus.channel()
        queue = await channel.get_queue(DELIVERIES_DEAD, ensure=False)
        tag = await queue.consume(take)
        await eventually(lambda: event.delivery_id in found, what="the dead letter")
        await queue.cancel(tag)
        await channel.close()
        return found[event.delivery_id]


def accepted(webhook: Webhook, raw: bytes = MAIL) -> MailAccepted:
    """Return the event of a mail that has come this moment."""
    return MailAccepted(
        delivery_id=new_id(Prefix.DELIVERY),
        message_id=new_id(Prefix.MESSAGE),
        webhook_id=webhook.id,
        envelope=Envelope("ann@example.com", (webhook.address,), "mx.example.com", "192.0.2.1"),
        received_at=utc_now(),
        size=len(raw),
        raw=raw,
    )


def usual_shares() -> Shares:
    """Return the shares of an ingest whose settings are the usual ones."""
    known = IngestSettings.model_fields
    return Shares(known["smtp_share_at_once"].default, known["smtp_share_per_second"].default)


@asynccontextmanager
async def open_mailroom(stack: Stack) -> AsyncIterator[Mailroom]:
    """Open the mailroom of a running stack."""
    environment = stack.plan.environment
    keys = TypeAdapter(Keys).validate_python(environment["CONDUIT_ENCRYPTION_KEYS"])
    async with (
        open_store(StoreSettings(mongodb_url=stack.urls.mongodb)) as store,
        open_bus(BusSettings(amqp_url=stack.urls.amqp)) as bus,
    ):
        publisher = Publisher(bus)
        await publisher.open()
        yield Mailroom(store, bus, publisher, SecretBox(keys))
