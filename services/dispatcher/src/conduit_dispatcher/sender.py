"""The webhook call: one POST, and what became of it as a value, whatever the endpoint does."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from math import inf

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.typedefs import StrOrURL

from conduit import __version__
from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import Answer, EgressDenied, answer, explained, no_answer

USER_AGENT = f"Conduit/{__version__}"
KEPT = 2 * 1024
"""Octets of an answer that are kept for the log."""
READ = 64 * 1024
"""Octets of an answer that are read at all."""

_CONNECTIONS = 1000
_RAW = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class _Connection:
    """What is known of the connection that a call goes over."""

    __slots__ = ("is_new",)

    def __init__(self) -> None:
        self.is_new = False


# By it the connector tells which call a socket is opened for. aiohttp's tracing tells as much, and
# takes a third of the time of each call.
_CONNECTION: ContextVar[_Connection] = ContextVar("connection")


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
        started = time.monotonic()
        if not self._egress.allows_scheme(url.partition(":")[0].lower()):
            return no_answer("only https endpoints are called", started, Result.PERMANENT)
        try:
            async with asyncio.timeout(timeout):
                return await self._post(started, url, body, headers)
        except TimeoutError:
            return no_answer(f"no answer within {round(timeout, 2):g} s", started)
        except aiohttp.InvalidURL:
            return no_answer("the target URL is not valid", started, Result.PERMANENT)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return no_answer(explained(error), started)

    async def _post(
        self, started: float, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        connection = _Connection()
        _CONNECTION.set(connection)
        try:
            return await self._call(started, url, body, headers)
        except aiohttp.ClientConnectorError:
            raise  # there was no connection at all
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if connection.is_new:
                raise
        return await self._call(started, url, body, headers)

    async def _call(
        self, started: float, url: StrOrURL, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        async with self._session.post(
            url, data=body, headers={**headers, **_RAW}, allow_redirects=False
        ) as response:
            return answer(response, await _head_of(response), started)


@asynccontextmanager
async def open_sender(
    egress: Egress, *, timeout: float, connect_timeout: float, resolver: AbstractResolver | None
) -> AsyncIterator[Sender]:
    """Open a sender. The addresses of all its sockets pass `egress`, literals and names alike."""

    def guarded(address: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        family, kind, protocol, _, target = address
        _CONNECTION.get().is_new = True
        if not egress.allows(str(target[0])):
            raise EgressDenied(f"{target[0]} is on a network that may not be called")
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=_CONNECTIONS,
        resolver=resolver,
        socket_factory=guarded,
        happy_eyeballs_delay=None,
        keepalive_timeout=30,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(sock_connect=connect_timeout),
    ) as session:
        yield Sender(session, egress, timeout)


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
