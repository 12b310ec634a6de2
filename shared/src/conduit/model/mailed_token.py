"""A token that was mailed: whoever shows it receives the mail of the account's address."""

from datetime import datetime

from conduit.model.record import Frozen


class MailedToken(Frozen):
    """One token, kept as a hash. An account has one at most: a newer one takes its place."""

    account_id: str
    token_hash: str
    expires_at: datetime
