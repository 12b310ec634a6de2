"""The collection of accounts. Their lower-cased e-mail address is unique."""

from collections.abc import Callable
from datetime import UTC, datetime

from conduit.errors import StoreUnavailable, VersionConflict
from conduit.model.account import Account
from conduit.store.records import Records

_ROUNDS = 50
"""Of parallel changes to one account; in each round one of them gets through."""

_EVER = datetime.fromtimestamp(0, UTC)


class Accounts(Records[Account]):
    """All accounts. Those that are being deleted are found by `deleted` only."""

    name = "accounts"
    kind = Account

    async def of_id(self, account_id: str) -> Account | None:
        """Return an account."""
        return await self.find({"_id": account_id, "deleted_at": None})

    async def of_email(self, email: str) -> Account | None:
        """Return the account of this lower-case address."""
        return await self.find({"email": email, "deleted_at": None})

    async def change(
        self, account_id: str, changed: Callable[[Account], Account]
    ) -> Account | None:
        """Write what `changed` makes of the account, and return that; None when there is none.

        When others change it at the same time, `changed` is asked again with what they left. It
        may raise to leave the account as it is.
        """
        for _ in range(_ROUNDS):
            account = await self.of_id(account_id)
            if account is None:
                return None
            wanted = changed(account)
            try:
                return await self.replace(wanted)
            except VersionConflict:
                continue
        raise StoreUnavailable("this account is contended")

    async def deleted(self, limit: int) -> list[Account]:
        """Return accounts whose removal is not finished, those marked first first."""
        return await self.find_all({"deleted_at": {"$gt": _EVER}}, [("deleted_at", 1)], limit)

    async def remove(self, account_id: str) -> None:
        """Delete the last trace of an account."""
        await self.delete({"_id": account_id})
