"""A session: one sign-in, kept alive by refresh tokens that are each used once."""

from datetime import datetime, timedelta

from conduit.model.record import Record

SESSION_LIFETIME = timedelta(days=30)
"""How long a session lives after its last refresh."""


class Session(Record):
    """All refresh tokens that descend from one sign-in, of which only the newest is good.

    A token has a part that names the family and a part that changes at each turn; both are kept
    as hashes. A token of this family with another turn has been used before, so it was copied.
    """

    account_id: str
    family_hash: str
    turn_hash: str
    expires_at: datetime

    def alive(self, now: datetime) -> bool:
        """Whether the session still counts; the store removes expired ones only now and then."""
        return now < self.expires_at
