"""Having the dispatcher try a webhook's endpoint; the API calls no endpoints itself."""

from typing import Protocol

from conduit.bus.rpc import RpcClient
from conduit.bus.topology import WEBHOOKS_SIMULATE
from conduit.errors import BrokerUnavailable
from conduit.events import SimulationDone, SimulationRequested

ENDPOINT_TIMEOUT = 20.0
"""Seconds that the endpoint has, unless the dispatcher gives it fewer."""

DEADLINE = 25.0
"""Seconds for all of it: less than the 30 after which many HTTP clients and proxies give up."""


class Simulations(Protocol):
    """Where simulated mails are sent from."""

    async def simulate(
        self, webhook_id: str, *, sender: str, subject: str, text: str
    ) -> SimulationDone:
        """Call a webhook now, or raise BrokerUnavailable when no answer comes in time."""


class BusSimulations:
    """Asks whichever dispatcher takes the request from the bus."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    async def simulate(
        self, webhook_id: str, *, sender: str, subject: str, text: str
    ) -> SimulationDone:
        """Call a webhook now, or raise BrokerUnavailable when no answer comes in time."""
        request = SimulationRequested(webhook_id, sender, subject, text, ENDPOINT_TIMEOUT)
        answer = await self._rpc.call(WEBHOOKS_SIMULATE, request, deadline=DEADLINE)
        if not isinstance(answer, SimulationDone) or answer.webhook_id != webhook_id:
            raise BrokerUnavailable(f"an answer to another question: {answer!r}")
        return answer
