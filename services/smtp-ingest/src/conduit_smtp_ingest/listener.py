"""What comes before the first command: admission, the PROXY header, TLS from the start, silence.

made ─ a place among all sessions ─ PROXY header ─ a place for its address ─ TLS ─ greeting
"""

import asyncio
import logging
from dataclasses import dataclass

from conduit.model.remote_address import network_of
from conduit_smtp_ingest import replies
from conduit_smtp_ingest.connection import Connection, ConnectionEnded
from conduit_smtp_ingest.proxy_header import Incomplete, Malformed, is_proxy, parse
from conduit_smtp_ingest.server import TLS_HANDSHAKE, Server
from conduit_smtp_ingest.session import SmtpSession
from conduit_smtp_ingest.transaction import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """Makes a session of each connection to one port. `tls_first`: it begins with a handshake."""

    server: Server
    tls_first: bool = False

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self._serve)

    async def _serve(self, connection: Connection) -> None:
        session = SmtpSession(self.server, connection)
        if self.tls_first:
            connection.mute()
        try:
            with self.server.sessions.entered(session) as admitted:
                if admitted:
                    await self._opened(session, connection)
                else:
                    session.end(replies.TOO_MANY_CONNECTIONS)
        except ConnectionEnded as error:
            ip = session.client.remote_ip
            log.debug("session.lost", extra={"remote_ip": ip, "error": str(error)})
        finally:
            session.close()

    async def _opened(self, session: SmtpSession, connection: Connection) -> None:
        source = await self._source(connection)
        session.client = Client(source)
        with self.server.sessions.of_address(network_of(source)) as admitted:
            if not admitted:
                return session.end(replies.TOO_MANY_CONNECTIONS_OF_ADDRESS)
            if self.tls_first and self.server.tls is not None:
                await connection.start_tls(
                    self.server.tls.context, timeout=TLS_HANDSHAKE, begun=True
                )
            if await self._spoke_early(connection):
                return session.end(replies.TOO_EARLY)
            return await session.run()

    async def _source(self, connection: Connection) -> str:
        """Return the client's address, which a proxy tells of the connections that it makes."""
        peer = connection.peer_ip
        if not self.server.proxies or not is_proxy(peer, self.server.proxies):
            return peer
        while isinstance(header := parse(connection.buffered), Incomplete):
            await connection.more()
        if isinstance(header, Malformed):
            log.warning("proxy.malformed", extra={"peer": peer, "problem": header.problem})
            raise ConnectionEnded(header.problem)
        connection.skip(header.octets)
        return peer if header.source is None else str(header.source)

    async def _spoke_early(self, connection: Connection) -> bool:
        """Whether the client spoke before its greeting, which waits for as long as is set."""
        delay = self.server.limits.greeting_delay
        if not delay or connection.buffered:
            return bool(delay)
        try:
            async with asyncio.timeout(delay):
                await connection.more()
        except TimeoutError:
            return False
        return True
