"""The collection of API tokens. Expired ones stay, so that their owner sees why they fail."""

from datetime import datetime, timedelta

from conduit.errors import VersionConflict
from conduit.model.api_token import ApiToken
from conduit.store.records import Records

LIST_LIMIT = 100
"""Tokens that one account may have."""

USE_NOTED = timedelta(minutes=1)
"""How exactly `last_used_at` is kept: a write for every request would be too many."""


class ApiTokens(Records[ApiToken]):
    """All tokens of all accounts."""

    name = "api_tokens"
    kind = ApiToken

    async def of_hash(self, token_hash: str) -> ApiToken | None:
        """Return the token with this hash, expired ones included."""
        return await self.find({"token_hash": token_hash})

    async def owned(self, account_id: str, token_id: str) -> ApiToken | None:
        """Return the token if it is this account's."""
        return await self.find({"_id": token_id, "account_id": account_id})

    async def of_account(self, account_id: str) -> list[ApiToken]:
        """Return an account's tokens, oldest first."""
        return await self.find_all({"account_id": account_id}, [("_id", 1)], LIST_LIMIT)

    async def note_use(self, token: ApiToken, now: datetime) -> None:
        """Write that a token is used, unless that was written within the last minute."""
        if token.last_used_at is not None and now - token.last_used_at < USE_NOTED:
            return
        try:
            await self.replace(token.model_copy(update={"last_used_at": now}))
        except VersionConflict:
            return  # another request of the same moment has noted it, or the token is gone

    async def delete_owned(self, account_id: str, token_id: str) -> bool:
        """Delete the token if it is this account's; return whether it was."""
        return await self.delete({"_id": token_id, "account_id": account_id})
