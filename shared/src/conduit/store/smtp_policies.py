"""The collection of SMTP security policies."""

from dataclasses import dataclass, field

from conduit.model.policy import SmtpPolicy
from conduit.store.connection import translated
from conduit.store.records import Records

# Far above what a person looks at; a bound for what one account may have, and one answer hold.
LIST_LIMIT = 500


@dataclass(frozen=True, slots=True)
class PolicyUser:
    """One user of one policy, without the rest of it, which may be long."""

    policy_id: str
    account_id: str
    password_hash: str = field(repr=False)


class SmtpPolicies(Records[SmtpPolicy]):
    """All policies of all accounts."""

    name = "smtp_policies"
    kind = SmtpPolicy

    async def owned(self, account_id: str, policy_id: str) -> SmtpPolicy | None:
        """Return the policy if this account owns it."""
        return await self.find({"_id": policy_id, "account_id": account_id})

    async def of_account(self, account_id: str) -> list[SmtpPolicy]:
        """Return an account's policies, oldest first."""
        return await self.find_all({"account_id": account_id}, [("_id", 1)], LIST_LIMIT)

    async def has_room(self, account_id: str) -> bool:
        """Whether the account may have one policy more."""
        return await self.count({"account_id": account_id}, LIST_LIMIT) < LIST_LIMIT

    async def with_username(self, username: str, limit: int) -> tuple[PolicyUser, ...]:
        """Return the users of this name in all accounts' policies, the oldest `limit` policies'."""
        match = {"credentials.username": username}
        fields = {"account_id": 1, "credentials": {"$elemMatch": {"username": username}}}
        with translated():
            found = self._collection.find(match, fields).sort([("_id", 1)])
            documents = await found.to_list(limit)
        return tuple(
            PolicyUser(document["_id"], document["account_id"], user["password_hash"])
            for document in documents
            for user in document["credentials"]
        )

    async def touch(self, account_id: str, policy_id: str) -> bool:
        """Count a change, so that a deletion begun before does not go through; False: it is gone.

        Whoever attaches a policy calls this after the webhook is written: either the deletion sees
        the webhook, or it finds another version than it read, or it was here first.
        """
        match = {"_id": policy_id, "account_id": account_id}
        with translated():
            result = await self._collection.update_one(match, {"$inc": {"version": 1}})
        return bool(result.matched_count)

    async def delete_unchanged(self, policy: SmtpPolicy) -> bool:
        """Delete a policy unless it was changed or removed since it was read; return whether."""
        return await self.delete({"_id": policy.id, "version": policy.version})
