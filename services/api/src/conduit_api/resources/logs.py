"""Delivery logs: what was tried for a webhook, newest first, in pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from conduit.model.delivery import Attempt, AttemptFilter, Result
from conduit.model.ids import Prefix, is_id
from conduit_api.errors import NotFound
from conduit_api.fields import NoInput, Omittable, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.pages import MailQuery, page_headers
from conduit_api.resources.webhooks import owned

_RESULTS: Mapping[str, tuple[Result, ...]] = {
    "delivered": (Result.DELIVERED,),
    "failed": (Result.TRANSIENT, Result.PERMANENT, Result.GONE),
    "transient": (Result.TRANSIENT,),
    "permanent": (Result.PERMANENT,),
    "gone": (Result.GONE,),
}


class LogQuery(MailQuery):
    """Which entries are wanted; their time is that of the attempt."""

    status: Omittable[
        Annotated[
            Literal["delivered", "failed", "transient", "permanent", "gone"],
            Field(description="How attempts ended; failed: in any way but delivered"),
        ]
    ] = None

    def filter(self) -> AttemptFilter:
        """Return the filter for the store."""
        results = () if self.status is None else _RESULTS[self.status]
        return AttemptFilter(self.mails(), results)


class DeliveryLogResponse(Response):
    """One attempt to call a webhook."""

    id: str
    webhook_id: str
    delivery_id: str = Field(description="The webhook-id header of all attempts for one mail")
    replay_of: str | None = Field(
        default=None, description="Delivery that the mail first came with, if this is a replay"
    )
    attempt: int = Field(description="Number of the attempt for this mail, from 1")
    status: Literal["delivered", "transient", "permanent", "gone"] = Field(
        description="How the attempt ended; only what is transient is tried again"
    )
    smtp_message_id: str | None = Field(default=None, description="SMTP Message-ID header value")
    sender: str = Field(description="Envelope sender address")
    http_status: int | None = Field(
        default=None, description="Status returned by the target, if reached"
    )
    error: str | None = Field(default=None, description="Error detail, if delivery failed")
    response: str | None = Field(default=None, description="The beginning of the target's answer")
    duration_ms: int
    attempted_at: datetime
    simulated: bool = Field(description="Whether the owner tried the target, without a mail")

    @classmethod
    def of(cls, attempt: Attempt) -> "DeliveryLogResponse":
        """Return what is told of an attempt."""
        return cls(
            id=attempt.id,
            webhook_id=attempt.webhook_id,
            delivery_id=attempt.delivery_id,
            replay_of=attempt.replay_of,
            attempt=attempt.number,
            status=attempt.result.value,
            smtp_message_id=attempt.smtp_message_id,
            sender=attempt.sender,
            http_status=attempt.http_status,
            error=attempt.error,
            response=attempt.response,
            duration_ms=attempt.duration_ms,
            attempted_at=attempt.attempted_at,
            simulated=attempt.simulated,
        )


async def list_(call: AccountCall[LogQuery]) -> Answer:
    """Return one page; one beyond the last is empty, and not asked of the store."""
    webhook = await owned(call)
    wanted, logs = call.input, call.context.logs
    matching = wanted.filter()
    total = await logs.count(webhook.id, matching)
    attempts: list[Attempt] = []
    if wanted.skipped < total:
        attempts = await logs.page(webhook.id, wanted.page, wanted.page_size, matching)
    headers = page_headers(call.request, wanted, total)
    return Answer([DeliveryLogResponse.of(attempt) for attempt in attempts], headers)


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one attempt."""
    return Answer(DeliveryLogResponse.of(await entry_of(call)))


async def entry_of(call: AccountCall[NoInput]) -> Attempt:
    """Return the log entry of the path, or raise NotFound."""
    webhook, log_id = await owned(call), call.path("logId")
    if is_id(Prefix.LOG, log_id):
        attempt = await call.context.logs.entry(webhook.id, log_id)
        if attempt is not None:
            return attempt
    raise NotFound("log entry")
