"""A delivery (one mail × one webhook), its attempts and their results; and what was refused.

Deliveries and attempts are named tuples: two are made for each call, of what is known to be right,
and nothing that is immutable is made in less time. What was read from a store is validated there.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field

from conduit.model.authentication import AuthResults
from conduit.model.envelope import Envelope
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


class Attempt(NamedTuple):
    """One webhook call, as it stands in the delivery log.

    `number` counts from 1. `http_status` is None when no answer came; `error` is None when the
    endpoint took the mail. `duration_ms` runs from the call to the end of the answer. `response`
    is the head of the answer's body. `replay_of` is as in the delivery. A `simulated` one has no
    delivery: its owner tried the endpoint.
    """

    id: str
    delivery_id: str
    webhook_id: str
    number: Annotated[int, Field(ge=1)]
    smtp_message_id: str | None
    sender: str
    result: Result
    http_status: int | None
    error: str | None
    duration_ms: int
    attempted_at: datetime
    response: str | None = None
    replay_of: str | None = None
    simulated: bool = False


class Refusal(Frozen):
    """Mail for a webhook that the SMTP ingest did not take, as it stands in the delivery log.

    It is no delivery: there is no mail to look at or to send once more. `attempted_at` is when its
    sender got `smtp_reply`, a 4xx or 5xx, the whole line. `reason` is a `Reason`; a newer Conduit
    may have others. `smtp_message_id` is None where no mail was read. `others` counts refusals that
    have no entry of their own, since there were too many at the time.
    """

    id: str
    webhook_id: str
    reason: str
    smtp_reply: str
    smtp_message_id: str | None
    sender: str
    recipients: tuple[str, ...]
    helo: str
    remote_ip: str
    attempted_at: datetime
    others: int = Field(default=0, ge=0)


LogEntry = Attempt | Refusal
"""What stands in a webhook's delivery log."""


class Delivery(NamedTuple):
    """The state of one mail on its way to one webhook.

    `attempts` counts those that were made. `replay_of` is the delivery that the mail first came
    with, when its owner had it sent again; `replayed_at` is when its owner last did so with this
    one. The fields from `helo` on are what the SMTP session knew of its sender. `shared` tells that
    the mail came for other accounts too; where it is not known, it may have. `authentication` is
    None where it was not looked into. Since `held_at` a pending one waits in the store, and not on
    the queue, until its webhook is resumed.
    """

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
    replay_of: str | None = None
    replayed_at: datetime | None = None
    helo: str = ""
    remote_ip: str = ""
    tls: str | None = None
    authenticated_as: str | None = None
    tag: str | None = None
    shared: bool = True
    authentication: AuthResults | None = None
    held_at: datetime | None = None

    @property
    def envelope(self) -> Envelope:
        """The envelope that the mail came with."""
        return Envelope(
            mail_from=self.sender,
            recipients=self.recipients,
            helo=self.helo,
            remote_ip=self.remote_ip,
            tls=self.tls,
            authenticated_as=self.authenticated_as,
            tag=self.tag,
        )


@dataclass(frozen=True, slots=True)
class MailFilter:
    """Which mails are looked for; what is None or empty does not matter.

    `since` is part of the time meant, `until` is not.
    """

    sender: str | None = None
    smtp_message_ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which log entries are looked for; the time is that of the attempt or refusal.

    With `results` they are attempts only, with `refused` refusals only, with neither both.
    """

    mails: MailFilter = MailFilter()
    results: tuple[Result, ...] = ()
    refused: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are looked for; the time is that of the mail's receipt."""

    mails: MailFilter = MailFilter()
    state: DeliveryState | None = None
