"""An account: who signs in, and whom everything else belongs to."""

from conduit.model.record import Record


class Account(Record):
    """One user. `email` is lower-cased; `timezone` is an IANA name, for display only."""

    email: str
    password_hash: str
    timezone: str = "UTC"
