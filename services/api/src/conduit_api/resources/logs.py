"""Delivery logs: what was tried and what was refused for a webhook, newest first, in pages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from conduit.model.delivery import Attempt, LogEntry, LogFilter, Refusal, Result
from conduit.model.ids import Prefix, is_id
from conduit_api.errors import NotFound
from conduit_api.fields import NoInput, Omittable, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.pages import MailQuery, page_headers
from conduit_api.resources.webhooks import owned

Status = Literal["delivered", "transient", "permanent", "gone", "refused"]

_RESULTS: Mapping[str, tuple[Result, ...]] = {
    "delivered": (Result.DELIVERED,),
    "failed": (Result.TRANSIENT, Result.PERMANENT, Result.GONE),
    "transient": (Result.TRANSIENT,),
    "permanent": (Result.PERMANENT,),
    "gone": (Result.GONE,),
}


class LogQuery(MailQuery):
    """Which entries are wanted; their time is that of the attempt or refusal."""

    status: Omittable[
        Annotated[
            Literal["delivered", "failed", "transient", "permanent", "gone", "refused"],
            Field(
                description="How attempts ended; failed: in any way but delivered; refused: mail "
                "that was not taken from its sender, and not attempted"
            ),
        ]
    ] = None

    def filter(self) -> LogFilter:
        """Return the filter for the store."""
        if self.status == "refused":
            return LogFilter(self.mails(), refused=True)
        return LogFilter(self.mails(), () if self.status is None else _RESULTS[self.status])


class DeliveryLogResponse(Response):
    """One attempt to call a webhook, or mail for it that was refused over SMTP.

    Only attempts have `delivery_id`, `attempt` and `duration_ms`; the fields from `reason` on are
    those of refusals.
    """

    id: str
    webhook_id: str
    delivery_id: str | None = Field(
        default=None, description="The webhook-id header of all attempts for one mail"
    )
    replay_of: str | None = Field(
        default=None, description="Delivery that the mail first came with, if this is a replay"
    )
    attempt: int | None = Field(
        default=None, description="Number of the attempt for this mail, from 1"
    )
    status: Status = Field(
        description="How the attempt ended; only what is transient is tried again. What is refused "
        "was not taken from its sender: it cannot be replayed"
    )
    smtp_message_id: str | None = Field(default=None, description="SMTP Message-ID header value")
    sender: str = Field(description="Envelope sender address")
    http_status: int | None = Field(
        default=None, description="Status returned by the target, if reached"
    )
    error: str | None = Field(default=None, description="Error detail, if delivery failed")
    response: str | None = Field(default=None, description="The beginning of the target's answer")
    duration_ms: int | None = None
    attempted_at: datetime
    simulated: bool = Field(description="Whether the owner tried the target, without a mail")
    reason: str | None = Field(default=None, description="Why mail was refused, for machines")
    smtp_reply: str | None = Field(default=None, description="What its sender was told")
    recipients: Sequence[str] | None = Field(
        default=None, description="Envelope recipients that lead to the webhook, the first ten"
    )
    helo: str | None = Field(default=None, description="What its sender called itself")
    remote_ip: str | None = Field(default=None, description="Address that it came from")
    others: int | None = Field(
        default=None,
        description="Refusals without an entry of their own, since there were too many; left out "
        "when there are none",
    )

    @classmethod
    def of(cls, entry: LogEntry) -> "DeliveryLogResponse":
        """Return what is told of an entry."""
        return cls._refusal(entry) if isinstance(entry, Refusal) else cls._attempt(entry)

    @classmethod
    def _refusal(cls, refusal: Refusal) -> "DeliveryLogResponse":
        return cls(
            id=refusal.id,
            webhook_id=refusal.webhook_id,
            status="refused",
            smtp_message_id=refusal.smtp_message_id,
            sender=refusal.sender,
            error=_told(refusal),
            attempted_at=refusal.attempted_at,
            simulated=False,
            reason=refusal.reason,
            smtp_reply=refusal.smtp_reply,
            recipients=refusal.recipients,
            helo=refusal.helo,
            remote_ip=refusal.remote_ip,
            others=refusal.others or None,
        )

    @classmethod
    def _attempt(cls, attempt: Attempt) -> "DeliveryLogResponse":
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
    entries: list[LogEntry] = []
    if wanted.skipped < total:
        entries = await logs.page(webhook.id, wanted.page, wanted.page_size, matching)
    headers = page_headers(call.request, wanted, total)
    return Answer([DeliveryLogResponse.of(entry) for entry in entries], headers)


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one entry."""
    return Answer(DeliveryLogResponse.of(await entry_of(call)))


async def entry_of(call: AccountCall[NoInput]) -> LogEntry:
    """Return the log entry of the path, or raise NotFound."""
    webhook, log_id = await owned(call), call.path("logId")
    if is_id(Prefix.LOG, log_id):
        entry = await call.context.logs.entry(webhook.id, log_id)
        if entry is not None:
            return entry
    raise NotFound("log entry")


def _told(refusal: Refusal) -> str:
    """Tell of a refusal whoever reads the fields of attempts only."""
    told = f"The mail was refused with: {refusal.smtp_reply}"
    return f"{told} (so were {refusal.others} others)" if refusal.others else told
