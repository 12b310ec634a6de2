"""The collection of sign-in challenges, each with a count of the codes that were tried."""

from datetime import datetime

from conduit.model.challenge import TRIES, Challenge
from conduit.store.connection import Store, translated


class Challenges:
    """All challenges, by the hashes of their tokens. The store removes expired ones."""

    def __init__(self, store: Store) -> None:
        self._collection = store.collection("sign_in_challenges")

    async def add(self, challenge: Challenge) -> None:
        """Keep a challenge."""
        document = challenge.model_dump()
        document["_id"] = document.pop("token_hash")
        with translated():
            await self._collection.insert_one(document | {"tries": 0})

    async def find(self, token_hash: str, now: datetime) -> Challenge | None:
        """Return the challenge of a token, unless it is over."""
        match = {"_id": token_hash, "expires_at": {"$gt": now}, "tries": {"$lt": TRIES}}
        with translated():
            document = await self._collection.find_one(match, {"tries": False})
        if document is None:
            return None
        return Challenge(token_hash=document.pop("_id"), **document)

    async def count_try(self, token_hash: str) -> bool:
        """Count a try before it is made, so that parallel ones count too; False when it is over."""
        with translated():
            result = await self._collection.update_one(
                {"_id": token_hash, "tries": {"$lt": TRIES}}, {"$inc": {"tries": 1}}
            )
        return bool(result.matched_count)

    async def spend(self, token_hash: str) -> bool:
        """End a challenge; False when another request was faster."""
        with translated():
            result = await self._collection.delete_one({"_id": token_hash})
        return bool(result.deleted_count)

    async def forget(self, account_id: str) -> None:
        """End all challenges of an account."""
        with translated():
            await self._collection.delete_many({"account_id": account_id})
