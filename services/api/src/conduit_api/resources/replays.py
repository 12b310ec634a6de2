"""Replays: one of a log entry's mail, and many by filter."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from conduit.model.audit import Action
from conduit.model.delivery import Delivery, DeliveryFilter, DeliveryState, MailFilter, Refusal
from conduit.model.webhook import Webhook
from conduit_api import audit
from conduit_api.errors import Conflict
from conduit_api.fields import Moment, NoInput, Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer, I
from conduit_api.pages import forms_of
from conduit_api.replays import LARGEST, Position
from conduit_api.resources.logs import entry_of
from conduit_api.resources.webhooks import owned

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CURSOR = re.compile(r"(\d{1,14})-(dlv_[0-9a-z]{26})", re.ASCII)


class ReplayResponse(Response):
    """A replay that is queued."""

    delivery_id: str = Field(description="The new delivery, and its webhook-id header")
    replay_of: str = Field(description="Delivery that the mail first came with")


def _cursor(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise ValueError("This is not a cursor of an earlier answer.")
    return text


class ReplayDeliveriesRequest(Request):
    """Which deliveries are replayed; those that were replayed before are not."""

    state: Annotated[
        Literal["failed", "delivered"], Field(description="Pending ones are under way anyway")
    ] = "failed"
    since: Omittable[
        Annotated[Moment, Field(description="Mails received from this moment on (RFC 3339)")]
    ] = Field(default=None, alias="from")
    until: Omittable[
        Annotated[Moment, Field(description="Mails received before this moment (RFC 3339)")]
    ] = Field(default=None, alias="to")
    sender: Omittable[
        Annotated[str, Field(description="Exact envelope sender address; empty: mails from <>")]
    ] = None
    message_id: Omittable[
        Annotated[str, Field(description="SMTP Message-ID header value, its brackets optional")]
    ] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST, description="Deliveries to look at")] = 100
    cursor: Omittable[
        Annotated[
            str, AfterValidator(_cursor), Field(description="That of the answer before, to go on")
        ]
    ] = None


class ReplayDeliveriesResponse(Response):
    """What was queued, the oldest mails first."""

    queued: int = Field(description="Replays queued by this request")
    not_kept: int = Field(description="Deliveries passed over, for their mail is not kept any more")
    more: bool = Field(description="Whether others match: repeat the request, with the cursor")
    cursor: str | None = None


async def one(call: AccountCall[NoInput]) -> Answer:
    """Replay the mail of a log entry."""
    entry = await entry_of(call)
    if isinstance(entry, Refusal):
        raise Conflict("mail_refused", "The mail of this log entry was refused; its sender has it.")
    webhook = await _active(call)
    delivery = await call.context.deliveries.of_webhook(webhook.id, entry.delivery_id)
    replay = None if delivery is None else await call.context.replays.one(delivery)
    if replay is None:
        raise Conflict("message_not_kept", "The mail of this log entry is not kept any more.")
    await audit.record(
        call, call.account_id, Action.DELIVERIES_REPLAYED, webhook.id, delivery=replay.id
    )
    return Answer(_told(replay))


async def many(call: AccountCall[ReplayDeliveriesRequest]) -> Answer:
    """Replay deliveries by filter, a bounded number of them."""
    wanted, webhook = call.input, await _active(call)
    mails = MailFilter(
        sender=wanted.sender,
        smtp_message_ids=forms_of(wanted.message_id),
        since=wanted.since,
        until=wanted.until,
    )
    matching = DeliveryFilter(mails, DeliveryState(wanted.state))
    after = None if wanted.cursor is None else position_of(wanted.cursor)
    done = await call.context.replays.many(webhook.id, matching, after, wanted.limit)
    if done.queued:
        await audit.record(
            call, call.account_id, Action.DELIVERIES_REPLAYED, webhook.id, queued=str(done.queued)
        )
    cursor = cursor_of(done.position) if done.more and done.position else None
    return Answer(
        ReplayDeliveriesResponse(
            queued=done.queued, not_kept=done.not_kept, more=done.more, cursor=cursor
        )
    )


def cursor_of(position: Position) -> str:
    """Return a position as clients get it."""
    moment, delivery_id = position
    return f"{(moment - _EPOCH) // _MILLISECOND}-{delivery_id}"


def position_of(cursor: str) -> Position:
    """Return the position that a well-formed cursor tells."""
    milliseconds, _, delivery_id = cursor.partition("-")
    return _EPOCH + int(milliseconds) * _MILLISECOND, delivery_id


async def _active(call: AccountCall[I]) -> Webhook:
    webhook = await owned(call)
    if not webhook.active:
        raise Conflict("webhook_inactive", "The webhook is switched off; activate it first.")
    return webhook


def _told(replay: Delivery) -> ReplayResponse:
    return ReplayResponse(delivery_id=replay.id, replay_of=replay.replay_of or replay.id)
