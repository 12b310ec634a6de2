"""Delivery logs: what was tried for a webhook, newest first, in pages."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import Field

from conduit.model.delivery import Attempt
from conduit.model.ids import Prefix, is_id
from conduit_api.errors import NotFound
from conduit_api.fields import NoInput, Query, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.resources.webhooks import owned


class PageQuery(Query):
    """Which page of a list is wanted."""

    page: Annotated[int, Field(ge=1, description="Page number (1-based)")] = 1
    page_size: Annotated[int, Field(ge=1, le=100, description="Number of results per page")] = 20


class DeliveryLogResponse(Response):
    """One attempt to call a webhook."""

    id: str
    webhook_id: str
    delivery_id: str = Field(description="The webhook-id header of all attempts for one mail")
    attempt: int = Field(description="Number of the attempt for this mail, from 1")
    smtp_message_id: str | None = Field(default=None, description="SMTP Message-ID header value")
    sender: str = Field(description="Envelope sender address")
    http_status: int | None = Field(
        default=None, description="Status returned by the target, if reached"
    )
    error: str | None = Field(default=None, description="Error detail, if delivery failed")
    response: str | None = Field(default=None, description="The beginning of the target's answer")
    duration_ms: int
    attempted_at: datetime

    @classmethod
    def of(cls, attempt: Attempt) -> "DeliveryLogResponse":
        """Return what is told of an attempt."""
        return cls(
            id=attempt.id,
            webhook_id=attempt.webhook_id,
            delivery_id=attempt.delivery_id,
            attempt=attempt.number,
            smtp_message_id=attempt.smtp_message_id,
            sender=attempt.sender,
            http_status=attempt.http_status,
            error=attempt.error,
            response=attempt.response,
            duration_ms=attempt.duration_ms,
            attempted_at=attempt.attempted_at,
        )


async def list_(call: AccountCall[PageQuery]) -> Answer:
    """Return one page; one beyond the last is empty, and not asked of the store."""
    webhook = await owned(call)
    wanted, logs = call.input, call.context.logs
    total = await logs.count(webhook.id)
    pages = -(-total // wanted.page_size)
    attempts: list[Attempt] = []
    if wanted.page <= pages:
        attempts = await logs.page(webhook.id, wanted.page, wanted.page_size)
    headers = {
        "X-Total-Count": str(total),
        "Link": ", ".join(_links(call.request.path, wanted, pages)),
    }
    return Answer([DeliveryLogResponse.of(attempt) for attempt in attempts], headers)


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one attempt."""
    webhook, log_id = await owned(call), call.path("logId")
    if is_id(Prefix.LOG, log_id):
        attempt = await call.context.logs.entry(webhook.id, log_id)
        if attempt is not None:
            return Answer(DeliveryLogResponse.of(attempt))
    raise NotFound("log entry")


def _links(path: str, wanted: PageQuery, pages: int) -> Iterator[str]:
    """Make links to other pages (RFC 8288), relative, for the name we have outside is not ours."""
    last = max(pages, 1)
    targets = {
        "first": 1,
        "prev": min(wanted.page - 1, last),
        "next": wanted.page + 1,
        "last": last,
    }
    for relation, page in targets.items():
        if 1 <= page <= last:
            yield f'<{path}?page={page}&page_size={wanted.page_size}>; rel="{relation}"'
