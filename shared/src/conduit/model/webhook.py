"""A webhook: the address that receives mail and the endpoint that gets it."""

from collections.abc import Mapping
from typing import NewType

from pydantic import Field

from conduit.model.ids import ulid_of
from conduit.model.record import Record

Sealed = NewType("Sealed", str)
"""A secret as `security.secrets.SecretBox` encrypted it, bound to the id of its owner."""


class Webhook(Record):
    """One address of one account, and where its mail goes.

    `rate_limit` is in mails a minute, 0 for none. The values of `custom_headers` are sealed, since
    most of them are credentials.
    """

    account_id: str
    address: str
    target_url: str
    secret: Sealed
    active: bool = True
    custom_headers: Mapping[str, Sealed] = Field(default_factory=dict)
    rate_limit: int = 0


def public_address(webhook_id: str, public_domain: str) -> str:
    """Return the address that a webhook has when its owner named none."""
    return f"webhook-{ulid_of(webhook_id)}@{public_domain}"
