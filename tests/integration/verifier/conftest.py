"""The verifier as it runs, with a real bus, store and DNS server; and somebody who asks it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from conduit.bus.connection import open_bus
from conduit.bus.rpc import RpcClient
from conduit.bus.topology import DOMAINS_VERIFY
from conduit.events import DomainChecked, DomainCheckRequested
from conduit.model.domain import Domain, challenge_name, new_verification_token
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.service import Lifecycle
from conduit.settings import BusSettings, StoreSettings
from conduit.store.connection import open_store
from conduit.store.domains import Domains
from conduit.store.indexes import ensure_indexes
from conduit_verifier.app import compose
from conduit_verifier.settings import VerifierSettings
from tests.support.dns import DnsServer

Start = Callable[..., Awaitable[Lifecycle]]


class Claimant:
    """Claims domains in the store, publishes their records, and asks for checks over the bus."""

    def __init__(self, domains: Domains, dns: DnsServer, rpc: RpcClient) -> None:
        self.domains = domains
        self._dns = dns
        self._rpc = rpc

    async def claim(self, name: str = "mail.example.com", **fields: Any) -> Domain:
        """Claim a name for an account of its own."""
        now = utc_now()
        claim = Domain(
            id=new_id(Prefix.DOMAIN),
            created_at=now,
            updated_at=now,
            account_id=new_id(Prefix.ACCOUNT),
            name=name,
            verification_token=new_verification_token(),
            **fields,
        )
        await self.domains.insert(claim)
        return claim

    async def verified(self, name: str = "mail.example.com", **fields: Any) -> Domain:
        """Have a claim that was verified, and last checked two days ago."""
        then = utc_now() - timedelta(days=2)
        return await self.claim(name, verified=True, verified_at=then, checked_at=then, **fields)

    def publish(self, claim: Domain, *others: str) -> None:
        """Put the claim's token into DNS, after other records."""
        self._dns.set_txt(challenge_name(claim.name), *others, claim.verification_token)

    def withdraw(self, claim: Domain) -> None:
        """Take the claim's records out of DNS."""
        self._dns.remove(challenge_name(claim.name))

    async def check(self, claim: Domain, *, deadline: float = 10) -> DomainChecked:
        """Ask the verifier to check a claim."""
        request = DomainCheckRequested(claim.id)
        answer = await self._rpc.call(DOMAINS_VERIFY, request, deadline=deadline)
        assert isinstance(answer, DomainChecked)
        return answer

    async def kept(self, claim: Domain) -> Domain:
        """Return the claim as the store has it."""
        kept = await self.domains.of_id(claim.id)
        assert kept is not None
        return kept


@pytest.fixture
async def start(
    bus_settings: BusSettings, store_settings: StoreSettings, dns_server: DnsServer
) -> AsyncIterator[Start]:
    """Start verifiers, stopped in order at the end."""
    running: list[Lifecycle] = []

    async def start(**settings: Any) -> Lifecycle:
        lifecycle = Lifecycle()
        running.append(lifecycle)
        given: dict[str, Any] = {
            "amqp_url": bus_settings.amqp_url,
            "mongodb_url": store_settings.mongodb_url,
            "mongodb_database": store_settings.mongodb_database,
            "dns_servers": dns_server.address,
            "verifier_metrics_port": 0,
        }
        await compose(VerifierSettings(**given | settings), lifecycle)
        return lifecycle

    yield start
    for lifecycle in running:
        await lifecycle.release()
        assert lifecycle.failure is None


@pytest.fixture
async def claimant(
    bus_settings: BusSettings, store_settings: StoreSettings, dns_server: DnsServer
) -> AsyncIterator[Claimant]:
    """Somebody who claims domains."""
    async with open_store(store_settings) as store, open_bus(bus_settings) as bus:
        await ensure_indexes(store)
        rpc = RpcClient(bus)
        await rpc.open()
        yield Claimant(Domains(store), dns_server, rpc)
