"""Look-ups of the names that mails bring: cached, shared and bounded.

Senders choose these names and own the servers that answer, so nothing here is without a bound: how
long a look-up may take, how many there are at a time, and how much memory their answers take.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar, cast

from dns.exception import DNSException
from dns.message import QueryMessage
from dns.name import EmptyLabel, LabelTooLong, Name, NameTooLong
from dns.resolver import NXDOMAIN, Answer

from conduit.dns.cache import DnsCache, Question, Records
from conduit.dns.resolvers import make_resolver
from conduit.errors import TemporaryDnsFailure

T = TypeVar("T", str, bytes)

_UDP_PAYLOAD = 1232
"""Octets that pass through every network unfragmented; larger answers come over TCP."""

_MAX_NAME = 254
"""Characters of the longest name, with a dot at its end."""


class DnsLookups:
    """Looks up records for SPF, DKIM and the like (`conduit.mail.authentication.dns.Dns`).

    Each method follows aliases; it returns () where the name does not exist, has no such records,
    or cannot be one; it raises TemporaryDnsFailure where an answer may come later. Whoever asks
    what is being asked already waits for the same answer.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        timeout: float = 5.0,
        concurrency: int = 500,
        cache_octets: int = 32 * 1024 * 1024,
    ) -> None:
        """Ask these servers (host:port), or the system's.

        `timeout` is in seconds for one look-up with its retries, the wait for one of the
        `concurrency` turns included. Raise SettingsError when there are no servers.
        """
        self._resolver = make_resolver(servers, lifetime=timeout)
        self._resolver.use_edns(0, payload=_UDP_PAYLOAD)
        self._timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)
        self._cache = DnsCache(cache_octets)
        self._flights: dict[Question, _Flight] = {}

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """Return each TXT record with its strings joined."""
        return await self._records(name, "TXT", _texts)

    async def a(self, name: str) -> tuple[str, ...]:
        """Return the IPv4 addresses of a host."""
        return await self._records(name, "A", _addresses)

    async def aaaa(self, name: str) -> tuple[str, ...]:
        """Return the IPv6 addresses of a host."""
        return await self._records(name, "AAAA", _addresses)

    async def mx(self, name: str) -> tuple[str, ...]:
        """Return a domain's mail exchangers, the preferred ones first."""
        return await self._records(name, "MX", _exchangers)

    async def ptr(self, name: str) -> tuple[str, ...]:
        """Return the host names at a reverse name."""
        return await self._records(name, "PTR", _targets)

    async def _records(
        self, name: str, kind: str, read: Callable[[Answer], tuple[T, ...]]
    ) -> tuple[T, ...]:
        asked = _dns_name(name)
        if asked is None:
            return ()
        question = name.removesuffix(".").lower(), kind
        records = self._cache.get(question)
        if records is None:
            records = await self._flight(question, lambda: self._ask(asked, question, read))
        return cast("tuple[T, ...]", records)

    async def _flight(
        self, question: Question, ask: Callable[[], Coroutine[None, None, Records]]
    ) -> Records:
        flight = self._flights.get(question)
        if flight is None:
            flight = self._flights[question] = _Flight(ask())
        try:
            return await flight.result()
        finally:
            if flight.over and self._flights.get(question) is flight:
                del self._flights[question]

    async def _ask(
        self, name: Name, question: Question, read: Callable[[Answer], tuple[T, ...]]
    ) -> Records:
        kind = question[1]
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                answer = await self._resolver.resolve(
                    name, kind, raise_on_no_answer=False, search=False
                )
        except NXDOMAIN as error:
            response: QueryMessage = error.kwargs["responses"][name]
            self._cache.put(question, (), response.resolve_chaining().minimum_ttl)
            return ()
        except (DNSException, TimeoutError) as error:
            raise TemporaryDnsFailure(f"{kind} of {name}: {type(error).__name__}") from error
        records = read(answer)
        self._cache.put(question, records, answer.chaining_result.minimum_ttl)
        return records


class _Flight:
    """A look-up under way. It ends with the last one that waits for it."""

    def __init__(self, look_up: Coroutine[None, None, Records]) -> None:
        self._task = asyncio.create_task(look_up)
        self._waiting = 0

    async def result(self) -> Records:
        """Wait for the answer."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._task.cancel()

    @property
    def over(self) -> bool:
        """Whether it is too late to join."""
        return self._task.done() or not self._waiting


def _dns_name(name: str) -> Name | None:
    """Return a name whose labels stand for themselves, None for what DNS cannot hold."""
    if not name.isascii() or len(name) > _MAX_NAME:
        return None
    labels = [label.encode() for label in name.removesuffix(".").split(".")]
    try:
        return Name([*labels, b""])
    except (EmptyLabel, LabelTooLong, NameTooLong):
        return None


def _texts(answer: Answer) -> tuple[bytes, ...]:
    return tuple(b"".join(record.strings) for record in answer)


def _addresses(answer: Answer) -> tuple[str, ...]:
    return tuple(record.address for record in answer)


def _exchangers(answer: Answer) -> tuple[str, ...]:
    ranked = sorted(answer, key=lambda record: int(record.preference))
    return tuple(record.exchange.to_text(omit_final_dot=True) for record in ranked)


def _targets(answer: Answer) -> tuple[str, ...]:
    return tuple(record.target.to_text(omit_final_dot=True) for record in answer)
