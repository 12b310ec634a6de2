"""The collection of webhooks. Their address is unique over all accounts."""

import re
from collections.abc import Collection, Mapping

from conduit.model.webhook import Webhook
from conduit.store.batched import pieces
from conduit.store.connection import translated
from conduit.store.records import Records

# Far above what a person looks at; a bound for what one account may have, and one answer hold.
LIST_LIMIT = 10_000


class Webhooks(Records[Webhook]):
    """All webhooks of all accounts."""

    name = "webhooks"
    kind = Webhook

    async def of_address(self, address: str) -> Webhook | None:
        """Return the webhook that receives the mail of this lower-case address."""
        return await self.find({"address": address})

    async def of_addresses(self, addresses: Collection[str]) -> Mapping[str, Webhook]:
        """Return the webhooks of these addresses, for those that have one.

        Their templates and headers, up to 80 KiB in each, are left out: who keeps many webhooks in
        memory to tell whom a mail is for has no use for them.
        """
        match = {"address": {"$in": list(addresses)}}
        left_out = ("payload_template", "custom_headers")
        found = await self.find_all(match, [("_id", 1)], len(addresses), left_out)
        return {webhook.address: webhook for webhook in found}

    async def of_id(self, webhook_id: str) -> Webhook | None:
        """Return a webhook, whoever owns it; for the mail's way, not for users."""
        return await self.find({"_id": webhook_id})

    async def of_ids(self, webhook_ids: Collection[str]) -> Mapping[str, Webhook]:
        """Return these webhooks by their ids, for those that are there, whoever owns them."""
        found: dict[str, Webhook] = {}
        for ids in pieces(webhook_ids):
            webhooks = await self.find_all({"_id": {"$in": ids}}, [("_id", 1)], len(ids))
            found |= {webhook.id: webhook for webhook in webhooks}
        return found

    async def paused(self, webhook_ids: Collection[str]) -> set[str]:
        """Return which of these webhooks are paused."""
        found: set[str] = set()
        for ids in pieces(webhook_ids):
            match = {"_id": {"$in": ids}, "paused_at": {"$type": "date"}}
            with translated():
                documents = await self._collection.find(match, {"_id": True}).to_list(len(ids))
            found |= {document["_id"] for document in documents}
        return found

    async def owned(self, account_id: str, webhook_id: str) -> Webhook | None:
        """Return the webhook if this account owns it."""
        return await self.find({"_id": webhook_id, "account_id": account_id})

    async def of_account(self, account_id: str) -> list[Webhook]:
        """Return an account's webhooks, oldest first."""
        return await self.find_all({"account_id": account_id}, [("_id", 1)], LIST_LIMIT)

    async def has_room(self, account_id: str) -> bool:
        """Whether the account may have one webhook more."""
        return await self.count({"account_id": account_id}, LIST_LIMIT) < LIST_LIMIT

    async def delete_owned(self, account_id: str, webhook_id: str) -> bool:
        """Delete the webhook if this account owns it; return whether it did."""
        return await self.delete({"_id": webhook_id, "account_id": account_id})

    async def on_domain(self, account_id: str, domain: str, limit: int) -> list[Webhook]:
        """Return an account's webhooks whose addresses are on this domain, at most `limit`."""
        match = {"account_id": account_id, "address": {"$regex": f"@{re.escape(domain)}$"}}
        return await self.find_all(match, [("_id", 1)], limit)

    async def with_policy(self, account_id: str, policy_id: str, limit: int) -> list[Webhook]:
        """Return an account's webhooks to which this policy is attached, at most `limit`."""
        match = {"account_id": account_id, "smtp_security_policy_id": policy_id}
        return await self.find_all(match, [("_id", 1)], limit)
