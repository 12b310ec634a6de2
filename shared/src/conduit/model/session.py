"""A session: one sign-in, kept alive by refresh tokens that are each used once."""

from datetime import datetime, timedelta
from hmac import compare_digest

from conduit.model.record import Record

SESSION_LIFETIME = timedelta(days=30)
"""How long a session lives after its last refresh."""


class Session(Record):
    """All refresh tokens that descend from one sign-in, of which only the newest is good.

    A token has a part that names the family and a part that changes at each turn; both are kept
    as hashes. A token of this family with another turn has been used before, so it was copied,
    unless it is the one before the newest and that was used moments ago (`turned_at`): the answer
    to a refresh may have been lost on its way.
    """

    account_id: str
    family_hash: str
    turn_hash: str
    previous_hash: str | None = None
    turned_at: datetime | None = None
    expires_at: datetime

    def alive(self, now: datetime) -> bool:
        """Whether the session still counts; the store removes expired ones only now and then."""
        return now < self.expires_at

    def may_repeat(self, turn_hash: str, now: datetime, grace: timedelta) -> bool:
        """Whether the token of this turn may be used once more."""
        if self.turned_at is None or self.previous_hash is None:
            return False
        return compare_digest(turn_hash, self.previous_hash) and now < self.turned_at + grace
