"""The collection of domain claims. At most one claim of a name is verified."""

from datetime import datetime

from conduit.model.domain import Domain
from conduit.store.records import Records

# Far above what a person looks at; a bound for what one account may have, and one answer hold.
LIST_LIMIT = 1_000


class Domains(Records[Domain]):
    """All claims of all accounts; one per account and name."""

    name = "domains"
    kind = Domain

    async def of_id(self, domain_id: str) -> Domain | None:
        """Return a claim, whoever made it; for the verifier, not for users."""
        return await self.find({"_id": domain_id})

    async def owned(self, account_id: str, domain_id: str) -> Domain | None:
        """Return the claim if this account made it."""
        return await self.find({"_id": domain_id, "account_id": account_id})

    async def of_account(self, account_id: str) -> list[Domain]:
        """Return an account's claims, oldest first."""
        return await self.find_all({"account_id": account_id}, [("_id", 1)], LIST_LIMIT)

    async def has_room(self, account_id: str) -> bool:
        """Whether the account may have one claim more."""
        return await self.count({"account_id": account_id}, LIST_LIMIT) < LIST_LIMIT

    async def verified_owner(self, name: str) -> Domain | None:
        """Return the verified claim of this name."""
        return await self.find({"name": name, "verified": True})

    async def verified_by(self, name: str) -> str | None:
        """Return the account that has verified this name."""
        owner = await self.verified_owner(name)
        return owner.account_id if owner else None

    async def due_for_check(self, checked_before: datetime, limit: int) -> list[Domain]:
        """Return verified claims that were last checked before this moment, the oldest first."""
        match = {"verified": True, "checked_at": {"$lt": checked_before}}
        return await self.find_all(match, [("checked_at", 1)], limit)

    async def delete_owned(self, account_id: str, domain_id: str) -> bool:
        """Delete the claim if this account made it; return whether it did."""
        return await self.delete({"_id": domain_id, "account_id": account_id})
