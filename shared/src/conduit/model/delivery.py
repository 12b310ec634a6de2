"""A delivery (one mail × one webhook), its attempts, and their results."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conduit.model.record import Frozen


class DeliveryState(StrEnum):
    """Where a delivery stands; `failed` is kept and can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Result(StrEnum):
    """How the endpoint's answer is taken: told apart once, by the sender."""

    DELIVERED = "delivered"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    GONE = "gone"


class Attempt(Frozen):
    """One webhook call, as it stands in the delivery log.

    `number` counts from 1. `http_status` is None when no answer came; `error` is None when the
    endpoint took the mail. `duration_ms` runs from the call to the end of the answer. `response`
    is the head of the answer's body.
    """

    id: str
    delivery_id: str
    webhook_id: str
    number: int = Field(ge=1)
    smtp_message_id: str | None
    sender: str
    result: Result
    http_status: int | None
    error: str | None
    duration_ms: int
    attempted_at: datetime
    response: str | None = None


class Delivery(Frozen):
    """The state of one mail on its way to one webhook."""

    id: str
    webhook_id: str
    account_id: str
    message_id: str
    smtp_message_id: str | None
    sender: str
    recipients: tuple[str, ...]
    subject: str | None
    size: int
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    received_at: datetime
    updated_at: datetime
