"""The receive story: who a mail is for, and how it becomes durable before its 250."""

import asyncio
import logging
import time
from collections import Counter as Count
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from prometheus_client import Counter, Histogram

from conduit.errors import Unavailable
from conduit.events import MailAccepted, encode
from conduit.mail.address import Address
from conduit.mail.aside import aside
from conduit.mail.trace import smtp_message_id
from conduit.model.authentication import AuthResults
from conduit.model.envelope import Envelope
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.policy import SmtpPolicy
from conduit.model.record import utc_now
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit_smtp_ingest.neighbours import Neighbours, Terms
from conduit_smtp_ingest.policy import (
    decide_further,
    decide_message,
    decide_recipient,
    rules_of,
)
from conduit_smtp_ingest.replies import Reply, for_verdict, queued
from conduit_smtp_ingest.stamp import stamped
from conduit_smtp_ingest.transaction import Client, Recipient, Transaction, envelope

log = logging.getLogger(__name__)

ACCEPTED = Counter("conduit_ingest_accepted", "Mails that got their 250.")
REFUSED = Counter("conduit_ingest_refused", "Recipients and mails refused.", ["reason"])
DURABLE = Histogram(
    "conduit_ingest_durable_seconds",
    "From the end of DATA until the mail was durable.",
    buckets=LATENCY_BUCKETS,
)

_LARGE = 1  # mails too large for the bus that are stored at a time, each copied meanwhile


class Intake:
    """Decides over recipients, and makes accepted mails durable."""

    def __init__(self, neighbours: Neighbours, terms: Terms) -> None:
        self._with = neighbours
        self._terms = terms
        self._large = asyncio.Semaphore(_LARGE)
        self._waiting = Count[str]()

    async def recipient(
        self, address: Address, transaction: Transaction, client: Client
    ) -> Verdict:
        """Decide over one RCPT; an accepted one is in the transaction from then on."""
        try:
            found = await self._with.directory.find(address)
            policy = await self._policy(found.webhook) if found else None
        except Unavailable as error:
            log.warning("ingest.store_away", extra={"error": str(error)})
            return _counted(Defer(Reason.UNAVAILABLE))
        if found is None:
            return _counted(Reject(Reason.UNKNOWN_ADDRESS))
        verdict = decide_recipient(found.webhook, found.owner, policy, client)
        rules = rules_of(found.webhook, policy)
        if isinstance(verdict, Accept) and transaction.recipients:
            verdict = decide_further(transaction.rules, rules)
        if isinstance(verdict, Accept) and len(transaction.recipients) >= self._terms.recipients:
            verdict = Defer(Reason.TOO_MANY_RECIPIENTS)
        recipient = Recipient(address, found.webhook, found.tag)
        if isinstance(verdict, Accept):
            transaction.recipients.append(recipient)
            transaction.rules = rules
        else:
            self._note(found.webhook, verdict, envelope(transaction.sender, client, [recipient]))
        return _counted(verdict)

    async def _policy(self, webhook: Webhook) -> SmtpPolicy | None:
        policy_id = webhook.smtp_security_policy_id
        return await self._with.policy_of((webhook.account_id, policy_id)) if policy_id else None

    async def accept(self, raw: bytes, transaction: Transaction, client: Client) -> Sequence[Reply]:
        """Decide over a mail, make it durable, and only then say 250. Any doubt is 4xx."""
        results = await self._results(raw, transaction, client)
        decision = partial(decide_message, raw, results, transaction.rules)
        verdict = await aside(decision, len(raw))
        if not isinstance(verdict, Accept):
            return self.refuse(verdict, transaction, client, raw)
        try:
            if transaction.rules.mode is DeliveryMode.QUEUED:
                return await self._queued(raw, transaction, client, results)
            return await self._awaited(raw, transaction, client, results)
        except Unavailable as error:
            log.warning("ingest.in_doubt", extra={"error": str(error)})
            return self.refuse(Defer(Reason.UNAVAILABLE), transaction, client, raw)

    def refuse(
        self,
        verdict: Defer | Reject,
        transaction: Transaction,
        client: Client,
        raw: bytes = b"",
        reply: Reply | None = None,
    ) -> Sequence[Reply]:
        """Take note of a refused mail for each of its webhooks; return the reply, the usual one."""
        _counted(verdict)
        message_id = smtp_message_id(raw)
        for webhook, seen in transaction.envelopes(client):
            self._note(webhook, verdict, seen, message_id, reply)
        return [reply or for_verdict(verdict)]

    def _note(
        self,
        webhook: Webhook,
        verdict: Defer | Reject,
        seen: Envelope,
        message_id: str | None = None,
        reply: Reply | None = None,
    ) -> None:
        reply = reply or for_verdict(verdict)
        self._with.refusals.note(webhook.id, verdict.reason, reply, seen, message_id)

    async def _results(
        self, raw: bytes, transaction: Transaction, client: Client
    ) -> AuthResults | None:
        if not (self._terms.authenticate_all or transaction.rules.ask_for_results):
            return None
        return await self._with.authenticator.results(
            raw, remote_ip=client.remote_ip, helo=client.helo, sender=transaction.sender
        )

    async def _queued(
        self, raw: bytes, transaction: Transaction, client: Client, results: AuthResults | None
    ) -> Sequence[Reply]:
        began = time.perf_counter()
        events = await self._events(raw, transaction, client, results)
        if len(events) == 1:
            await self._publish(events[0])
        else:
            await asyncio.gather(*map(self._publish, events))
        DURABLE.observe(time.perf_counter() - began)
        _log_accepted(events, client)
        return queued([event.delivery_id for event in events])

    async def _publish(self, event: MailAccepted) -> None:
        await self._with.publisher.publish(encode(event), self._with.lane_of(event.webhook_id))

    async def _awaited(
        self, raw: bytes, transaction: Transaction, client: Client, results: AuthResults | None
    ) -> Sequence[Reply]:
        """Deliver while the sender waits; the rules have it that there is one webhook."""
        webhook_id = transaction.recipients[0].webhook.id
        with self._turn(webhook_id) as admitted:
            if not admitted:
                return self.refuse(Defer(Reason.OVER_RATE), transaction, client, raw)
            events = await self._events(raw, transaction, client, results)
            concluded = await self._with.sync.deliver(events[0], transaction.rules.mode)
        if isinstance(concluded.verdict, Accept):
            _log_accepted(events, client)
        elif not concluded.on_record:
            return self.refuse(concluded.verdict, transaction, client, raw, concluded.reply)
        return [concluded.reply]

    @contextmanager
    def _turn(self, webhook_id: str) -> Iterator[bool]:
        """Count in one who waits for a webhook; yield whether it may."""
        if self._waiting[webhook_id] >= self._terms.sync_limit:
            yield False
            return
        self._waiting[webhook_id] += 1
        try:
            yield True
        finally:
            self._waiting[webhook_id] -= 1
            if not self._waiting[webhook_id]:
                del self._waiting[webhook_id]

    async def _events(
        self, raw: bytes, transaction: Transaction, client: Client, results: AuthResults | None
    ) -> list[MailAccepted]:
        """Return the event for each webhook; a mail too large for the bus is kept before."""
        if len(raw) <= self._terms.bus_limit:
            message = await self._message(raw, transaction, client, results)
            return list(_of(message, transaction, client, results))
        async with self._large:
            message = await self._message(raw, transaction, client, results)
            await self._with.messages.put(message)
            return [event.by_reference() for event in _of(message, transaction, client, results)]

    async def _message(
        self, raw: bytes, transaction: Transaction, client: Client, results: AuthResults | None
    ) -> Message:
        message_id, received_at = new_id(Prefix.MESSAGE), utc_now()
        stamping = partial(
            stamped,
            raw,
            transaction,
            client,
            results,
            hostname=self._terms.hostname,
            message_id=message_id,
            received_at=received_at,
        )
        return Message(message_id, received_at, await aside(stamping, len(raw)))


def _of(
    message: Message, transaction: Transaction, client: Client, results: AuthResults | None
) -> Iterator[MailAccepted]:
    for webhook, seen in transaction.envelopes(client):
        yield MailAccepted(
            delivery_id=new_id(Prefix.DELIVERY),
            message_id=message.id,
            webhook_id=webhook.id,
            envelope=seen,
            received_at=message.received_at,
            size=message.size,
            raw=message.raw,
            shared=transaction.shared,
            authentication=results,
        )


def _counted(verdict: Verdict) -> Verdict:
    if not isinstance(verdict, Accept):
        REFUSED.labels(verdict.reason).inc()
    return verdict


def _log_accepted(events: Sequence[MailAccepted], client: Client) -> None:
    ACCEPTED.inc()
    first = events[0]
    log.info(
        "mail.accepted",
        extra={
            "message_id": first.message_id,
            "delivery_ids": [event.delivery_id for event in events],
            "webhook_ids": [event.webhook_id for event in events],
            "sender": first.envelope.mail_from,
            "size": first.size,
            "remote_ip": client.remote_ip,
            "helo": client.helo,
            "tls": client.tls,
        },
    )
