"""The collections of mailed tokens, one document an account. The store removes expired ones."""

from datetime import datetime

from conduit.errors import DuplicateKey
from conduit.model.mailed_token import MailedToken
from conduit.store.connection import Store, translated


class MailedTokens:
    """The tokens of one purpose; `name` is that of their collection."""

    def __init__(self, store: Store, name: str) -> None:
        self._collection = store.collection(name)

    async def put(self, token: MailedToken) -> None:
        """Keep a token in place of the account's former one."""
        document = token.model_dump()
        document["_id"] = document.pop("account_id")
        match = {"_id": document["_id"]}
        try:
            with translated():
                await self._collection.replace_one(match, document, upsert=True)
        except DuplicateKey:  # two first ones at the same moment
            with translated():
                await self._collection.replace_one(match, document)

    async def spend(self, token_hash: str, now: datetime) -> str | None:
        """Return whose token this is and delete it; None when it is unknown, expired or spent."""
        match = {"token_hash": token_hash, "expires_at": {"$gt": now}}
        with translated():
            document = await self._collection.find_one(match)
            if document is None:
                return None
            result = await self._collection.delete_one({"_id": document["_id"], **match})
        return str(document["_id"]) if result.deleted_count else None

    async def forget(self, account_id: str) -> None:
        """Delete the account's token."""
        with translated():
            await self._collection.delete_one({"_id": account_id})


def password_resets(store: Store) -> MailedTokens:
    """Return the tokens that allow a new password."""
    return MailedTokens(store, "password_resets")


def email_confirmations(store: Store) -> MailedTokens:
    """Return the tokens that confirm an e-mail address."""
    return MailedTokens(store, "email_confirmations")
