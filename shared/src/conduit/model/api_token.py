"""An API token: what a program shows in place of a session, and what it may do with it."""

from datetime import datetime
from enum import StrEnum

from conduit.model.record import Record


class Scope(StrEnum):
    """What a token may do. `read` is GET and HEAD, `write` all the rest; a token may have both."""

    READ = "read"
    WRITE = "write"


class ApiToken(Record):
    """One token of one account. Its secret is kept as a hash; `hint` is the secret's end.

    `allowed_ips` are networks (CIDR) from which it is taken; none: from anywhere. It is written
    once, apart from `last_used_at`.
    """

    account_id: str
    name: str
    hint: str
    token_hash: str
    scopes: tuple[Scope, ...]
    allowed_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def alive(self, now: datetime) -> bool:
        """Whether the token still counts."""
        return self.expires_at is None or now < self.expires_at
