"""The collection of accounts. Their lower-cased e-mail address is unique."""

from conduit.model.account import Account
from conduit.store.records import Records


class Accounts(Records[Account]):
    """All accounts."""

    name = "accounts"
    kind = Account

    async def of_id(self, account_id: str) -> Account | None:
        """Return an account."""
        return await self.find({"_id": account_id})

    async def of_email(self, email: str) -> Account | None:
        """Return the account of this lower-case address."""
        return await self.find({"email": email})
