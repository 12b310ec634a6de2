"""Look-ups of the hosts in target URLs."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

from aiohttp.abc import AbstractResolver

from conduit.webhook.egress import Egress
from conduit_dispatcher.failures import EgressDenied, Unconnected
from conduit_dispatcher.target import is_literal

_KNOWN = 1000
"""Names whose addresses are remembered."""
_FRESH = 10.0
"""Seconds for which they are."""


class Address(NamedTuple):
    """An IP address and its family; or a name, which the egress proxy looks up."""

    family: int
    host: str


class Hosts(Protocol):
    """Tells where hosts are."""

    async def addresses(self, host: str) -> Sequence[Address]:
        """Return the addresses of a host in the order they are to be tried, or raise CallFailed."""

    async def close(self) -> None:
        """End the look-ups under way."""


class JudgedHosts:
    """Looks up what is a name, by `resolver`, and may be called as far as its text tells.

    Without this, some resolvers would read addresses into it (0x7f.1). Addresses that it leads to
    are judged where they are dialled. They are remembered for some seconds, and used in turn; who
    asks for what is being asked waits for the same answer.
    """

    def __init__(self, egress: Egress, resolver: AbstractResolver) -> None:
        self._egress = egress
        self._resolver = resolver
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, asyncio.Task[_Known]] = {}

    async def addresses(self, host: str) -> Sequence[Address]:
        """Return the addresses of a host, the next one first; of an address, itself."""
        if is_literal(host):
            return (Address(socket.AF_INET6 if ":" in host else socket.AF_INET, host),)
        if not self._egress.allows_host(host):
            raise EgressDenied(f"{host} is a host that may not be called")
        known = self._known.get(host)
        if known is None or known.until < monotonic():
            known = await self._found(host)
        return known.in_turn()

    async def close(self) -> None:
        """End the look-ups under way, and close the resolver."""
        asked = tuple(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await self._resolver.close()

    async def _found(self, host: str) -> "_Known":
        """Look a name up, or wait for who does; no caller who leaves takes the answer with him."""
        task = self._asked.get(host)
        if task is None:
            task = self._asked[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda done: self._remember(host, done))
        try:
            return await asyncio.shield(task)
        except (OSError, UnicodeError) as error:  # the latter for what DNS cannot hold
            raise Unconnected(f"the name {host} cannot be resolved") from error

    async def _look_up(self, host: str) -> "_Known":
        found = await self._resolver.resolve(host, 0, socket.AF_UNSPEC)
        return _Known(Address(result["family"], result["host"]) for result in found)

    def _remember(self, host: str, task: "asyncio.Task[_Known]") -> None:
        del self._asked[host]
        if task.cancelled() or task.exception() is not None:
            return
        self._known.pop(host, None)
        self._known[host] = task.result()
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]


class NamesForTheProxy:
    """Leaves names to the egress proxy: each that may be called stands for itself."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def addresses(self, host: str) -> Sequence[Address]:
        """Return the name as if it were its address."""
        if not self._egress.allows_host(host):
            raise EgressDenied(f"{host} is a host that may not be called")
        return (Address(socket.AF_UNSPEC, host),)

    async def close(self) -> None:
        """Nothing is under way."""


class _Known:
    """The addresses of a name, and until when they are taken for that."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.until = monotonic() + _FRESH
        self._addresses = deque(addresses)

    def in_turn(self) -> Sequence[Address]:
        """Return all of them, each time beginning with another one."""
        addresses = tuple(self._addresses)
        self._addresses.rotate(-1)
        return addresses
