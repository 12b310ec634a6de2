"""Asking the verifier whether DNS shows that a domain is its claimant's."""

from typing import Protocol

from conduit.bus.rpc import RpcClient
from conduit.bus.topology import DOMAINS_VERIFY
from conduit.errors import BrokerUnavailable
from conduit.events import DomainChecked, DomainCheckRequested

DEADLINE = 10.0
"""Seconds that the look-up and its way over the bus may take."""


class DomainChecks(Protocol):
    """Where the API learns what a look-up found."""

    async def check(self, domain_id: str) -> DomainChecked:
        """Have a claim checked now, or raise BrokerUnavailable when no answer comes in time."""


class BusDomainChecks:
    """Asks whichever verifier takes the request from the bus."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    async def check(self, domain_id: str) -> DomainChecked:
        """Have a claim checked now, or raise BrokerUnavailable when no answer comes in time."""
        request = DomainCheckRequested(domain_id)
        answer = await self._rpc.call(DOMAINS_VERIFY, request, deadline=DEADLINE)
        if not isinstance(answer, DomainChecked) or answer.domain_id != domain_id:
            raise BrokerUnavailable(f"an answer to another question: {answer!r}")
        return answer
