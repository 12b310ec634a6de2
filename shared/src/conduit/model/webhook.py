"""A webhook: the address that receives mail and the endpoint that gets it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from pydantic import Field

from conduit.model.ids import ulid_of
from conduit.model.payload_options import EVERYTHING, PayloadOptions
from conduit.model.record import Record

Sealed = NewType("Sealed", str)
"""A secret as `security.secrets.SecretBox` encrypted it, bound to the id of its owner."""

ROTATION_OVERLAP = timedelta(hours=24)
"""How long calls are signed with the previous secret too, for endpoints that have it still."""


class DeliveryMode(StrEnum):
    """When a sender gets its reply: once the mail is durable, or once the endpoint has answered.

    `sync_then_queued` waits some seconds for the endpoint; then the mail is as one that is queued.
    """

    QUEUED = "queued"
    SYNC = "sync"
    SYNC_THEN_QUEUED = "sync_then_queued"


class Webhook(Record):
    """One address of one account, and where its mail goes.

    `rate_limit` is in mails a minute, 0 for none. The values of `custom_headers` are sealed, since
    most of them are credentials. `previous_secret` is what a rotation replaced; calls are signed
    with it too before `previous_secret_until`. Without a `payload_template` the body is Conduit's
    own JSON; `payload` says what either has of a mail. The mail of one that is not `active` is
    refused; since `paused_at` it is taken, and waits without a call until the webhook is resumed.
    """

    account_id: str
    address: str
    target_url: str
    secret: Sealed
    active: bool = True
    paused_at: datetime | None = None
    custom_headers: Mapping[str, Sealed] = Field(default_factory=dict)
    rate_limit: int = 0
    payload_template: str | None = None
    payload: PayloadOptions = EVERYTHING
    smtp_security_policy_id: str | None = None
    delivery_mode: DeliveryMode = DeliveryMode.QUEUED
    previous_secret: Sealed | None = None
    previous_secret_until: datetime | None = None

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]

    @property
    def has_public_address(self) -> bool:
        """Whether the address was given out by Conduit, so that no verified claim stands behind."""
        return self.address == public_address(self.id, self.domain)

    def signing_secrets(self, now: datetime) -> tuple[Sealed, ...]:
        """The secrets that calls are signed with, the newest first."""
        until = self.previous_secret_until
        if self.previous_secret is None or until is None or until <= now:
            return (self.secret,)
        return (self.secret, self.previous_secret)


def catch_all_address(domain: str) -> str:
    """Return the address whose webhook gets the mail of a domain that is for no other."""
    return f"*@{domain}"


def public_address(webhook_id: str, public_domain: str) -> str:
    """Return the address that a webhook has when its owner named none."""
    return f"webhook-{ulid_of(webhook_id)}@{public_domain}"
