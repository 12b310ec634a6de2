"""Look-ups of the names in target URLs."""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import EgressDenied


class JudgedHosts(AbstractResolver):
    """Looks up what is a name, by `resolver`, and may be called as far as its text tells.

    Without this, some resolvers would read addresses into it (0x7f.1). Addresses that it leads to
    are judged where they are dialled.
    """

    def __init__(self, egress: Egress, resolver: AbstractResolver) -> None:
        self._egress = egress
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, or raise OSError."""
        if not self._egress.allows_host(host):
            raise EgressDenied(f"{host} is a host that may not be called")
        return await self._resolver.resolve(host, port, family)

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


class NamesForTheProxy(AbstractResolver):
    """Leaves names to the egress proxy: each stands for itself."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the name as if it were its address."""
        return [ResolveResult(hostname=host, host=host, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held open."""
