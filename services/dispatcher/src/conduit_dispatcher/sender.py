"""The webhook call: one POST, and what became of it as a value, whatever the endpoint does."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver

from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.answers import Answer, answer_of, no_answer
from conduit_dispatcher.connections import DirectOpener, Opener
from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.failures import CallFailed, InvalidCall
from conduit_dispatcher.hosts import Hosts, JudgedHosts, NamesForTheProxy
from conduit_dispatcher.http1 import Reply
from conduit_dispatcher.pool import Pool
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.request import request_head
from conduit_dispatcher.target import Endpoint, target_of
from conduit_dispatcher.tunnel import TunnelOpener


class Sender:
    """Calls endpoints over kept connections."""

    def __init__(self, pool: Pool, egress: Egress, timeout: float) -> None:
        self._pool = pool
        self._egress = egress
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, within: float = inf
    ) -> Answer:
        """POST `body` once, `within` so many seconds if that is less than others have.

        A kept connection that turns out to be closed is replaced at once.
        """
        started = time.monotonic()
        if not self._egress.allows_scheme(url.partition(":")[0].lower()):
            return no_answer("only https endpoints are called", started, Result.PERMANENT)
        timeout = min(self._timeout, within)
        deadline, late = self._loop.time() + timeout, f"no answer within {round(timeout, 2):g} s"
        try:
            target = target_of(url)
            head = request_head(target, headers, len(body))
            reply = await self._reply(target.endpoint, _Call(head, body, deadline, late))
        except InvalidCall as failure:
            return no_answer(str(failure), started, Result.PERMANENT)
        except CallFailed as failure:
            return no_answer(str(failure), started)
        except TimeoutError:
            return no_answer(late, started)
        return answer_of(reply, started)

    async def _reply(self, endpoint: Endpoint, call: "_Call") -> Reply:
        connection = self._pool.kept(endpoint)
        if connection is not None:
            reply = await self._made(call, connection)
            if not reply.again:
                return reply
        async with asyncio.timeout_at(call.deadline):
            connection = await self._pool.another(endpoint)
        return await self._made(call, connection)

    async def _made(self, call: "_Call", connection: Connection) -> Reply:
        try:
            return await connection.call(call.head, call.body, call.deadline, call.late)
        finally:
            self._pool.release(connection)


class _Call(NamedTuple):
    """What is sent; until when, by the loop's clock, an answer is waited for, and how that ends."""

    head: bytes
    body: bytes
    deadline: float
    late: str


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
    hosts: Hosts = JudgedHosts(egress, resolver or aiohttp.ThreadedResolver())
    if proxy is not None and proxy.resolves:
        hosts = NamesForTheProxy(egress)
    opener: Opener = DirectOpener(egress, hosts, connect_timeout)
    if proxy is not None:
        opener = TunnelOpener(proxy, egress, hosts, connect_timeout)
    pool = Pool(opener)
    try:
        yield Sender(pool, egress, timeout)
    finally:
        await pool.close()
        await hosts.close()
