"""What stands between a right password and a session when a second factor is asked for."""

from datetime import datetime, timedelta

from conduit.model.record import Frozen

CHALLENGE_LIFETIME = timedelta(minutes=5)

TRIES = 5
"""Codes that may be tried for one right password."""


class Challenge(Frozen):
    """One right password, waiting for its code. Its token is kept as a hash.

    `password_hash` is the account's at that time: after a change the challenge is void.
    """

    token_hash: str
    account_id: str
    password_hash: str
    expires_at: datetime
