"""Whom a mail is for: by its address as it was registered, by its tag, or by its domain."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from conduit.mail.address import Address, ascii_domain
from conduit.model.webhook import Webhook, catch_all_address
from conduit.store.batched import Batched
from conduit.store.cached import Cached

_KEPT = 10_000  # of addresses and of domains; 42 MB when each has a webhook as large as can be


@dataclass(frozen=True, slots=True)
class Found:
    """The webhook of an address, the account that has verified the domain, and the tag.

    Without an `owner` the address is a public one, or nobody's domain at the moment.
    """

    webhook: Webhook
    owner: str | None
    tag: str | None


class Directory:
    """Finds the webhooks of addresses; what it has found it remembers for some seconds.

    An address costs at most one question about webhooks and one about the domain, however many
    webhooks come into question for it.
    """

    def __init__(
        self,
        webhooks_of: Callable[[Sequence[str]], Awaitable[Mapping[str, Webhook]]],
        owner_of: Callable[[str], Awaitable[str | None]],
        *,
        seconds: float,
    ) -> None:
        self._webhooks = Cached(Batched(webhooks_of).get, seconds=seconds, size=_KEPT)
        self._owners = Cached(owner_of, seconds=seconds, size=_KEPT)

    async def find(self, address: Address) -> Found | None:
        """Return where the mail of an address goes, or raise StoreUnavailable.

        A webhook left over from an account whose domain another has verified since then stands in
        the way of none of the new owner's.
        """
        if not address.domain or address.domain.startswith("["):
            return None  # `<Postmaster>` and address literals: nobody can register these
        domain = ascii_domain(address.domain)
        candidates = _candidates(Address(address.local, domain))
        webhooks = await self._registered(candidates)
        if not webhooks:
            return None
        owner = await self._owners.get(domain)
        for webhook in webhooks:
            if owner in (None, webhook.account_id):
                return Found(webhook, owner, candidates[webhook.address])
        return None

    async def _registered(self, keys: Mapping[str, str | None]) -> list[Webhook]:
        """Return the webhooks at these keys, in their order."""
        for key in keys:  # all before the first is awaited: what is not kept is one question
            self._webhooks.begin(key)
        answers = [await self._webhooks.get(key) for key in keys]
        return [webhook for webhook in answers if webhook is not None]


@lru_cache(maxsize=1000)
def _candidates(address: Address) -> Mapping[str, str | None]:
    """Return where the webhook may be registered, the best first, each with the tag it leaves."""
    untagged, tag = _split(address)
    return {address.key: None, untagged.key: tag, catch_all_address(address.domain): tag}


def _split(address: Address) -> tuple[Address, str | None]:
    """Split `orders+2026@…` at its first plus sign; an empty tag is none."""
    local, _, tag = address.local.partition("+")
    if not local:
        return address, None
    return Address(local, address.domain), tag or None
