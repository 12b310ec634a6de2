"""A dispatcher that calls nobody: it answers requests for simulations as a test tells it to."""

from conduit.bus.connection import Bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcServer
from conduit.bus.topology import WEBHOOKS_SIMULATE
from conduit.events import Event, SimulationDone, SimulationRequested


class Dispatcher:
    """Answers that the endpoint took the mail, unless there is an `error`; keeps the requests."""

    def __init__(self, bus: Bus) -> None:
        self._publisher = Publisher(bus)
        self._server = RpcServer(bus, self._publisher, WEBHOOKS_SIMULATE, self._call, prefetch=10)
        self.requests: list[SimulationRequested] = []
        self.error: str | None = None

    async def start(self) -> None:
        """Begin to answer."""
        await self._publisher.open()
        await self._server.start()

    async def stop(self) -> None:
        """Answer no more."""
        await self._server.stop()

    async def _call(self, request: Event) -> Event:
        assert isinstance(request, SimulationRequested)
        self.requests.append(request)
        status = None if self.error else 200
        return SimulationDone(request.webhook_id, status, self.error, duration_ms=12)
