"""A claim of a domain: who wants to receive its mail, and whether DNS has shown that they may."""

import secrets
from datetime import datetime

from conduit.model.record import Record


class Domain(Record):
    """One account's claim of one name. Many may claim it; the first to verify owns it.

    `name` is in lower-case A-label form (RFC 5890). `verification_token` must stand in a TXT
    record at `challenge_name(name)`. `missed` counts the scheduled re-checks in a row that found
    this record gone.
    """

    account_id: str
    name: str
    verification_token: str
    verified: bool = False
    verified_at: datetime | None = None
    checked_at: datetime | None = None
    missed: int = 0


def new_verification_token() -> str:
    """Return a token of 128 random bits."""
    return f"conduit-verify-{secrets.token_hex(16)}"


def challenge_name(domain: str) -> str:
    """Return the name at which the TXT record is looked for."""
    return f"_conduit-verify.{domain}"
