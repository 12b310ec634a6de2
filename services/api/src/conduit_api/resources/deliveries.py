"""Deliveries: each mail on its way to a webhook, with its timeline and the mail itself."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from conduit.mail.parse import Attachment, Mailbox, ParsedMail, parse
from conduit.model.delivery import Attempt, Delivery, DeliveryFilter, DeliveryState
from conduit.model.ids import Prefix, is_id
from conduit_api.errors import NotFound
from conduit_api.fields import NoInput, Omittable, Response
from conduit_api.mail_authentication import AuthenticationResponse
from conduit_api.operation import AccountCall, Answer, I
from conduit_api.pages import MailQuery, page_headers
from conduit_api.resources.webhooks import owned

LONGEST_TEXT = 1024 * 1024
"""Characters of a mail's text, and of its HTML, in an answer; the download has all of it."""

State = Literal["pending", "delivered", "failed"]
Result = Literal["delivered", "transient", "permanent", "gone"]


class DeliveryQuery(MailQuery):
    """Which deliveries are wanted; their time is that of the mail's receipt."""

    state: Omittable[Annotated[State, Field(description="Where the delivery stands")]] = None

    def filter(self) -> DeliveryFilter:
        """Return the filter for the store."""
        return DeliveryFilter(self.mails(), DeliveryState(self.state) if self.state else None)


class DeliveryResponse(Response):
    """One mail on its way to one webhook."""

    id: str = Field(description="As in the webhook-id header of all attempts")
    webhook_id: str
    state: State
    smtp_message_id: str | None = Field(default=None, description="SMTP Message-ID header value")
    sender: str = Field(description="Envelope sender address")
    recipients: Sequence[str] = Field(description="Envelope recipients that lead to the webhook")
    subject: str | None = None
    size: int = Field(description="Bytes of the mail")
    attempts: int = Field(description="Attempts that were made")
    next_attempt_at: datetime | None = None
    held_since: datetime | None = Field(
        default=None, description="Since when it waits for its paused webhook to be resumed"
    )
    received_at: datetime
    updated_at: datetime
    replay_of: str | None = Field(
        default=None, description="Delivery that the mail first came with, if this is a replay"
    )
    replayed_at: datetime | None = Field(default=None, description="When it was last replayed")
    tag: str | None = Field(
        default=None, description="What stood after the plus sign in the first recipient with one"
    )
    authentication: AuthenticationResponse | None = Field(
        default=None, description="Who the mail is from, as far as it was looked into"
    )

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryResponse":
        """Return what is told of a delivery."""
        return cls(**_told(delivery))


class TimelineEntry(Response):
    """One event of a delivery; the fields from `log_id` on are those of an attempt."""

    event: Literal["received", "attempt", "replayed", "held", "next_attempt"]
    at: datetime
    log_id: str | None = None
    attempt: int | None = None
    status: Result | None = None
    http_status: int | None = None
    error: str | None = None
    duration_ms: int | None = None

    @classmethod
    def of(cls, attempt: Attempt) -> "TimelineEntry":
        """Return the event of an attempt."""
        return cls(
            event="attempt",
            at=attempt.attempted_at,
            log_id=attempt.id,
            attempt=attempt.number,
            status=attempt.result.value,
            http_status=attempt.http_status,
            error=attempt.error,
            duration_ms=attempt.duration_ms,
        )


class DeliveryDetailResponse(DeliveryResponse):
    """A delivery with all that happened to it."""

    message_kept: bool = Field(description="Whether the mail can be looked at and replayed")
    timeline: Sequence[TimelineEntry] = Field(description="In order, what comes next at its end")

    @classmethod
    def with_attempts(
        cls, delivery: Delivery, attempts: Sequence[Attempt], *, kept: bool
    ) -> "DeliveryDetailResponse":
        """Return all that is told of a delivery."""
        timeline = list(_timeline(delivery, attempts))
        return cls(**_told(delivery), message_kept=kept, timeline=timeline)


class MailboxResponse(Response):
    """Somebody in a header field; what was not given is empty."""

    name: str
    address: str

    @classmethod
    def of(cls, mailbox: Mailbox) -> "MailboxResponse":
        """Return what is told of a mailbox."""
        return cls(name=mailbox.name, address=mailbox.address)


class AttachmentResponse(Response):
    """A part of a mail that is not its text, without its content."""

    filename: str | None = None
    content_type: str
    content_id: str | None = None
    inline: bool
    size: int = Field(description="Bytes")

    @classmethod
    def of(cls, attachment: Attachment) -> "AttachmentResponse":
        """Return what is told of an attachment."""
        return cls(
            filename=attachment.filename,
            content_type=attachment.content_type,
            content_id=attachment.content_id,
            inline=attachment.inline,
            size=attachment.size,
        )


class MessageResponse(Response):
    """A mail, as a webhook's payload has it."""

    delivery_id: str
    size: int = Field(description="Bytes of the mail")
    received_at: datetime
    smtp_message_id: str | None = None
    subject: str | None = None
    date: datetime | None = None
    header_from: MailboxResponse | None = None
    header_to: Sequence[MailboxResponse]
    cc: Sequence[MailboxResponse]
    reply_to: Sequence[MailboxResponse]
    headers: Mapping[str, Sequence[str]] = Field(description="All others, by their names")
    text: str | None = None
    text_truncated: bool = Field(description=f"Whether it is longer than {LONGEST_TEXT} characters")
    html: str | None = Field(default=None, description="As the sender wrote it: not to be trusted")
    html_truncated: bool = Field(description=f"Whether it is longer than {LONGEST_TEXT} characters")
    attachments: Sequence[AttachmentResponse]
    notes: Sequence[str] = Field(description="What was left out or guessed, and why")

    @classmethod
    def of(cls, delivery: Delivery, mail: ParsedMail) -> "MessageResponse":
        """Return what is told of a mail."""
        return cls(
            delivery_id=delivery.id,
            size=delivery.size,
            received_at=delivery.received_at,
            smtp_message_id=mail.message_id,
            subject=mail.subject,
            date=mail.date,
            header_from=MailboxResponse.of(mail.from_) if mail.from_ else None,
            header_to=[MailboxResponse.of(mailbox) for mailbox in mail.to],
            cc=[MailboxResponse.of(mailbox) for mailbox in mail.cc],
            reply_to=[MailboxResponse.of(mailbox) for mailbox in mail.reply_to],
            headers=mail.headers,
            text=mail.text and mail.text[:LONGEST_TEXT],
            text_truncated=len(mail.text or "") > LONGEST_TEXT,
            html=mail.html and mail.html[:LONGEST_TEXT],
            html_truncated=len(mail.html or "") > LONGEST_TEXT,
            attachments=[AttachmentResponse.of(each) for each in mail.attachments],
            notes=mail.notes,
        )


async def list_(call: AccountCall[DeliveryQuery]) -> Answer:
    """Return one page; one beyond the last is empty, and not asked of the store."""
    webhook = await owned(call)
    wanted, deliveries = call.input, call.context.deliveries
    matching = wanted.filter()
    total = await deliveries.count(webhook.id, matching)
    found: list[Delivery] = []
    if wanted.skipped < total:
        found = await deliveries.page(webhook.id, wanted.page, wanted.page_size, matching)
    headers = page_headers(call.request, wanted, total)
    return Answer([DeliveryResponse.of(delivery) for delivery in found], headers)


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one delivery with its timeline."""
    delivery, context = await delivery_of(call), call.context
    attempts, kept = await asyncio.gather(
        context.logs.of_delivery(delivery.id), context.messages.kept([delivery.message_id])
    )
    return Answer(DeliveryDetailResponse.with_attempts(delivery, attempts, kept=bool(kept)))


async def message(call: AccountCall[NoInput]) -> Answer:
    """Return the mail of a delivery, parsed off the loop, for it may be large."""
    delivery = await delivery_of(call)
    mail = await asyncio.to_thread(parse, await _raw(call, delivery))
    return Answer(MessageResponse.of(delivery, mail))


async def raw_message(call: AccountCall[NoInput]) -> Answer:
    """Return the octets of a delivery's mail, as a file to be saved."""
    delivery = await delivery_of(call)
    disposition = f'attachment; filename="{delivery.id}.eml"'
    return Answer(await _raw(call, delivery), {"Content-Disposition": disposition})


async def delivery_of(call: AccountCall[I]) -> Delivery:
    """Return the delivery of the path, or raise NotFound."""
    webhook, delivery_id = await owned(call), call.path("deliveryId")
    if is_id(Prefix.DELIVERY, delivery_id):
        delivery = await call.context.deliveries.of_webhook(webhook.id, delivery_id)
        if delivery is not None:
            return delivery
    raise NotFound("delivery")


async def _raw(call: AccountCall[NoInput], delivery: Delivery) -> bytes:
    raw = await call.context.messages.get(delivery.message_id)
    if raw is None:
        raise NotFound("message", "message_not_kept")
    return raw


def _told(delivery: Delivery) -> dict[str, Any]:
    results = delivery.authentication
    return {
        **delivery._asdict(),
        "held_since": delivery.held_at,
        "authentication": results and AuthenticationResponse.of(results),
    }


def _timeline(delivery: Delivery, attempts: Sequence[Attempt]) -> Iterator[TimelineEntry]:
    yield TimelineEntry(event="received", at=delivery.received_at)
    yield from map(TimelineEntry.of, attempts)
    if delivery.replayed_at is not None:
        yield TimelineEntry(event="replayed", at=delivery.replayed_at)
    if delivery.held_at is not None:
        yield TimelineEntry(event="held", at=delivery.held_at)
    if delivery.next_attempt_at is not None:
        yield TimelineEntry(event="next_attempt", at=delivery.next_attempt_at)
