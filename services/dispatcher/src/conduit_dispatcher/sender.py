"""The webhook call: one POST, and what became of it as a value, whatever the endpoint does."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.typedefs import StrOrURL

from conduit import __version__
from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import (
    Answer,
    EgressDenied,
    answer,
    broken_answer,
    explained,
    no_answer,
)
from conduit_dispatcher.connections import UNDERWAY, Connector, Underway, limit_receipt
from conduit_dispatcher.hosts import JudgedHosts, NamesForTheProxy
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.tunnel import TunnelConnector

USER_AGENT = f"Conduit/{__version__}"
KEPT = 2 * 1024
"""Octets of an answer that are kept for the log."""
READ = 64 * 1024
"""Octets of an answer that are read at all."""

_CONNECTIONS = 1000
_KEPT_SECONDS = 30
_RAW = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class Sender:
    """Calls endpoints over kept connections."""

    def __init__(self, session: aiohttp.ClientSession, egress: Egress, timeout: float) -> None:
        self._session = session
        self._egress = egress
        self._timeout = timeout

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, within: float = inf
    ) -> Answer:
        """POST `body` once, `within` so many seconds if that is less than others have.

        A kept connection that turns out to be closed is replaced at once.
        """
        timeout = min(self._timeout, within)
        started, call = time.monotonic(), Underway()
        if not self._egress.allows_scheme(url.partition(":")[0].lower()):
            return no_answer("only https endpoints are called", started, Result.PERMANENT)
        try:
            async with asyncio.timeout(timeout):
                UNDERWAY.set(call)
                return await self._post(started, url, body, headers, call)
        except aiohttp.ServerTimeoutError as error:
            return no_answer(explained(error), started)
        except TimeoutError:
            return _ended(call, f"no answer within {round(timeout, 2):g} s", started)
        except aiohttp.InvalidURL:
            return no_answer("the target URL is not valid", started, Result.PERMANENT)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _ended(call, explained(error), started)

    async def _post(
        self, started: float, url: str, body: bytes, headers: Mapping[str, str], call: Underway
    ) -> Answer:
        try:
            return await self._call(started, url, body, headers, call)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if call.is_new or call.response is not None:
                raise
        return await self._call(started, url, body, headers, call)

    async def _call(
        self,
        started: float,
        url: StrOrURL,
        body: bytes,
        headers: Mapping[str, str],
        call: Underway,
    ) -> Answer:
        async with self._session.post(
            url, data=body, headers={**headers, **_RAW}, allow_redirects=False
        ) as response:
            call.response = response
            return answer(response, await _head_of(response), started)


def _ended(call: Underway, why: str, started: float) -> Answer:
    """Return what became of a call that did not come to the end of its answer."""
    if call.response is None:
        return no_answer(why, started)
    return broken_answer(call.response, why, started)


@asynccontextmanager
async def open_sender(
    egress: Egress,
    *,
    timeout: float,
    connect_timeout: float,
    resolver: AbstractResolver | None,
    proxy: Proxy | None = None,
) -> AsyncIterator[Sender]:
    """Open a sender. The addresses that it calls pass `egress`, literals and names alike."""
    names = resolver or aiohttp.ThreadedResolver()
    if proxy is None:
        connector = _direct(egress, JudgedHosts(egress, names))
    else:
        names = NamesForTheProxy() if proxy.resolves else names
        connector = _through(proxy, egress, JudgedHosts(egress, names))
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(sock_connect=connect_timeout),
    ) as session:
        yield Sender(session, egress, timeout)


def _direct(egress: Egress, resolver: AbstractResolver) -> Connector:
    """Return what connects to endpoints, each address being judged on the socket for it."""

    def guarded(address: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        family, kind, protocol, _, target = address
        if not egress.allows(str(target[0])):
            raise EgressDenied(f"{target[0]} is on a network that may not be called")
        opened = socket.socket(family, kind, protocol)
        limit_receipt(opened)
        return opened

    return Connector(
        limit=_CONNECTIONS,
        resolver=resolver,
        socket_factory=guarded,
        happy_eyeballs_delay=None,
        keepalive_timeout=_KEPT_SECONDS,
    )


def _through(proxy: Proxy, egress: Egress, resolver: AbstractResolver) -> Connector:
    return TunnelConnector(
        proxy, egress, limit=_CONNECTIONS, resolver=resolver, keepalive_timeout=_KEPT_SECONDS
    )


async def _head_of(response: aiohttp.ClientResponse) -> bytes:
    """Read the answer, so that its connection can be kept, and return its beginning."""
    head, seen = b"", 0
    if response.content.at_eof():  # most answers have no body, or came as a whole
        return head
    async for chunk in response.content.iter_any():
        head += chunk[: KEPT - len(head)]
        seen += len(chunk)
        if seen > READ:
            response.close()
            break
    return head
