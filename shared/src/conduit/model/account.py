"""An account: who signs in, and whom everything else belongs to."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from conduit.model.record import Record
from conduit.model.webhook import Sealed


class Totp(BaseModel):
    """The second factor of an account: what its authenticator app shares with Conduit.

    `enabled` is false until a first code has shown that the app has the secret. `last_timecode` is
    the time step of the newest code that was taken; an older one is never taken again.
    `backup_hashes` are those of the codes that are not spent.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    secret: Sealed
    enabled: bool = False
    last_timecode: int = 0
    backup_hashes: tuple[str, ...] = ()


class Account(Record):
    """One user. `email` is lower-cased; `timezone` is an IANA name, for display only.

    `email_confirmed` is false when a sign-up was asked to confirm its address and has not yet.
    `deleted_at` marks what is being removed: such an account is nobody's any more, and its
    address is free. `deleted_webhooks` are the ids by which the rest of it is found.
    """

    email: str
    password_hash: str
    timezone: str = "UTC"
    email_confirmed: bool = True
    totp: Totp | None = None
    deleted_at: datetime | None = None
    deleted_webhooks: tuple[str, ...] = ()

    @property
    def needs_code(self) -> bool:
        """Whether the password alone does not sign in."""
        return self.totp is not None and self.totp.enabled
