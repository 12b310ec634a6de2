"""The second factor of an account: a code or a backup code, checked and spent."""

from datetime import datetime

from conduit.model.account import Account, Totp
from conduit.security.secrets import SecretBox
from conduit.security.totp import spent
from conduit_api.errors import Unauthorized


class Factor:
    """One code that somebody shows.

    It is checked within `Accounts.change`, so that of parallel uses of one code only the first
    finds it unspent.
    """

    def __init__(self, box: SecretBox, code: str, now: datetime) -> None:
        self._box = box
        self._code = code
        self._now = now
        self.was_backup_code = False

    def spent(self, account: Account) -> Account:
        """Return the account after this code was used, or raise Unauthorized."""
        if account.totp is None:
            raise wrong_code()
        secret = secret_of(self._box, account, account.totp)
        left = spent(account.totp, self._code, secret, self._now)
        if left is None:
            raise wrong_code()
        self.was_backup_code = left.backup_hashes != account.totp.backup_hashes
        return account.model_copy(update={"totp": left})


def secret_of(box: SecretBox, account: Account, totp: Totp) -> str:
    """Return what the account's authenticator app knows."""
    return box.open(totp.secret, account.id)


def wrong_code() -> Unauthorized:
    """Return the refusal of a code."""
    return Unauthorized("invalid_totp_code", "The code is wrong, has expired or was used before.")
