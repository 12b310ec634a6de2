"""A verifier that asks no DNS: it answers on the bus as a test tells it to."""

from conduit.bus.connection import Bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcServer
from conduit.bus.topology import DOMAINS_VERIFY
from conduit.events import DomainChecked, DomainCheckRequested, Event
from conduit.store.domains import Domains


class Verifier:
    """Answers that all is well, unless there is a `problem` or the name is `taken`."""

    def __init__(self, bus: Bus, domains: Domains) -> None:
        self._publisher = Publisher(bus)
        self._server = RpcServer(bus, self._publisher, DOMAINS_VERIFY, self._check, prefetch=10)
        self._domains = domains
        self.problem: str | None = None
        self.taken = False

    async def start(self) -> None:
        """Begin to answer."""
        await self._publisher.open()
        await self._server.start()

    async def stop(self) -> None:
        """Answer no more."""
        await self._server.stop()

    async def _check(self, request: Event) -> Event:
        assert isinstance(request, DomainCheckRequested)
        if self.problem is None and not self.taken:
            await verify(self._domains, request.domain_id)
        return DomainChecked(request.domain_id, self.problem, self.taken)


async def verify(domains: Domains, domain_id: str, *, verified: bool = True) -> None:
    """Have a claim verified, or not any more."""
    claim = await domains.of_id(domain_id)
    assert claim is not None
    await domains.replace(claim.model_copy(update={"verified": verified}))
