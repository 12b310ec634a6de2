"""DNS through the operator's resolvers, where the settings name some, else the system's."""

import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.resolver import NoResolverConfiguration

from conduit.errors import SettingsError


def make_resolver(servers: Sequence[str], *, lifetime: float = 5.0) -> Resolver:
    """Return a resolver that asks these servers (host:port) and gives up after `lifetime` s.

    Raise SettingsError when none are given and the system knows none.
    """
    resolver = _of_servers(servers) if servers else _of_system()
    resolver.lifetime = lifetime
    return resolver


def _of_servers(servers: Sequence[str]) -> Resolver:
    resolver = Resolver(configure=False)
    resolver.nameservers = [_nameserver(server) for server in servers]
    return resolver


def _of_system() -> Resolver:
    try:
        return Resolver()
    except NoResolverConfiguration as error:
        raise SettingsError(
            "this machine has no resolver: set CONDUIT_DNS_SERVERS to host:port"
        ) from error


def _nameserver(server: str) -> Do53Nameserver:
    host, _, port = server.rpartition(":")
    return Do53Nameserver(host.strip("[]"), int(port))


def host_resolver(servers: Sequence[str]) -> AbstractResolver | None:
    """Return what aiohttp resolves names with; None: the system's, with its hosts file."""
    return _HostResolver(make_resolver(servers)) if servers else None


class _HostResolver(AbstractResolver):
    """Looks up A and AAAA records."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, or raise OSError."""
        try:
            answers = await self._resolver.resolve_name(host, family=family)
        except DNSException as error:
            raise OSError(f"cannot resolve {host}: {type(error).__name__}") from error
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address, kind in answers.addresses_and_families()
        ]

    async def close(self) -> None:
        """Nothing is held open."""
