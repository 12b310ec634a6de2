"""The collection of sessions. The store removes them some time after they expired."""

from conduit.model.session import Session
from conduit.store.connection import translated
from conduit.store.records import Records


class Sessions(Records[Session]):
    """All sessions of all accounts."""

    name = "sessions"
    kind = Session

    async def of_id(self, session_id: str) -> Session | None:
        """Return a session, expired ones perhaps included."""
        return await self.find({"_id": session_id})

    async def of_family(self, family_hash: str) -> Session | None:
        """Return the session to which a refresh token belongs, used or not."""
        return await self.find({"family_hash": family_hash})

    async def revoke(self, session_id: str) -> bool:
        """End a session; return whether it was there."""
        return await self.delete({"_id": session_id})

    async def revoke_all(self, account_id: str, *, but: str | None = None) -> None:
        """End all sessions of an account, except perhaps one."""
        with translated():
            await self._collection.delete_many({"account_id": account_id, "_id": {"$ne": but}})
