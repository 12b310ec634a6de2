"""The server's side of an SMTP dialogue: lines in, replies out, and when it ends.

From aiosmtpd come the protocol and its streams. The loop over commands, timeouts and replies are
ours: see docs/decisions for what aiosmtpd's do with hostile input.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable

from aiosmtpd.smtp import SMTP

from conduit_smtp_ingest import replies
from conduit_smtp_ingest.limits import COMMAND, READ_AHEAD, Limits
from conduit_smtp_ingest.replies import Reply
from conduit_smtp_ingest.sessions import Sessions

log = logging.getLogger(__name__)

_LINGER = 5.0  # seconds until a closed connection is cut off whose peer does not read
_PATIENCE = 3.0  # seconds that a session may be silent when the service stops


class Dialogue(SMTP):
    """Reads commands and hands each to the method of its verb, `smtp_…` of a subclass."""

    line_length_limit = READ_AHEAD

    def __init__(self, sessions: Sessions, limits: Limits, hostname: str) -> None:
        super().__init__(
            handler=None,
            hostname=hostname,
            ident="ESMTP",
            data_size_limit=limits.size,
            enable_SMTPUTF8=True,
            timeout=limits.idle,
            loop=asyncio.get_running_loop(),
        )
        self._sessions = sessions
        self._limits = limits
        self._errors = 0
        self._unknown = 0
        self._waiting = False
        self._accepting = False
        self._timed_out = False
        self._retiring = False
        self._ended = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def _mail_under_way(self) -> bool:
        """Whether a mail has begun that is not answered yet."""
        return False

    def _give_up_mail(self) -> None:
        """Forget the mail that is under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with a bound on the time of the whole session."""
        super().connection_made(transport)
        self._schedule(self._limits.total, self._timeout_cb)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a mail that is being made durable is not given up."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """Let a client that has closed its side still get its replies."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def retire(self) -> None:
        """End the session as soon as no mail is under way, or its client is silent."""
        self._retiring = True
        if self._waiting and not self._mail_under_way:
            self._end(replies.STOPPING)
        else:
            self._reset_timeout()

    def _reset_timeout(self, duration: float | None = None) -> None:
        idle = self._limits.idle if duration is None else duration
        super()._reset_timeout(min(idle, _PATIENCE) if self._retiring else idle)

    def _timeout_cb(self) -> None:
        # Who waits for the reply to a mail is not the one who is slow.
        self._timed_out = True
        if not self._accepting:
            self._end(replies.STOPPING if self._retiring else replies.TIMED_OUT)

    def _end(self, reply: Reply) -> None:
        """Say why, and close."""
        if not self._ended:
            self._writer.write(f"{reply}\r\n".encode())
            self._close()

    def _close(self) -> None:
        """Close when what was written is sent; a peer that reads nothing is not waited for."""
        if self._ended:
            return
        self._ended = True
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._writer.close()
        self._schedule(_LINGER, self._writer.transport.abort)

    def _schedule(self, seconds: float, action: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, action)

    async def _handle_client(self) -> None:
        try:
            with self._sessions.entered(self) as admitted:
                await (self._dialogue() if admitted else self.reply(replies.TOO_MANY_CONNECTIONS))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            log.debug("session.lost", extra={"remote_ip": self._remote_ip, "error": str(error)})
        finally:
            self._close()

    async def _dialogue(self) -> None:
        await self.push(f"220 {self.hostname} ESMTP")
        while not self._ended:
            line = await self._command_line()
            self._reset_timeout()
            await self._execute(line)
            if self._errors >= self._limits.errors:
                return await self.reply(replies.TOO_MANY_ERRORS)
            if self._unknown >= self._limits.unknown:
                return await self.reply(replies.TOO_MANY_UNKNOWN)
            if self._retiring and not self._mail_under_way:
                return await self.reply(replies.STOPPING)
            if self._timed_out:
                return await self.reply(replies.TIMED_OUT)
        return None

    async def _command_line(self) -> bytes | None:
        """Return the next command without its line end, or None for one that is too long."""
        self._waiting = True
        try:
            line = await self._reader.readuntil()
        except asyncio.LimitOverrunError as error:
            await self._skip_line(error)
            return None
        finally:
            self._waiting = False
        return line.rstrip(b"\r\n") if len(line) <= COMMAND else None

    async def _skip_line(self, overrun: asyncio.LimitOverrunError) -> None:
        skipped = 0
        while skipped <= self._limits.size:
            skipped += len(await self._reader.read(overrun.consumed))
            try:
                await self._reader.readuntil()
            except asyncio.LimitOverrunError as error:
                overrun = error
            else:
                return
        raise ConnectionAbortedError("a command line without end")

    async def _execute(self, line: bytes | None) -> None:
        if line is None:
            return await self.refuse(replies.COMMAND_TOO_LONG)
        verb, _, argument = line.partition(b" ")
        if not verb.isascii():
            return await self.refuse(replies.NOT_ASCII)
        method = self._smtp_methods.get(verb.decode().upper())
        if method is None:
            return await self.refuse(replies.UNKNOWN_COMMAND)
        try:
            # Octets that are no UTF-8 become lone surrogates, which no address may have.
            await method(argument.strip().decode(errors="surrogateescape"))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            raise
        except Exception:
            log.exception("session.fault", extra={"remote_ip": self._remote_ip})
            self._give_up_mail()
            await self.reply(replies.INTERNAL)
        return None

    async def reply(self, *lines: Reply) -> None:
        """Send a reply of one or several lines."""
        *first, last = map(str, lines)
        await self.push("\r\n".join([f"{line[:3]}-{line[4:]}" for line in first] + [last]))

    async def refuse(self, reply: Reply) -> None:
        """Send a reply to a bad command; too many of them end the session."""
        self._errors += 1
        await self.reply(reply)

    @property
    def _remote_ip(self) -> str:
        peer = self._writer.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def _tls_version(self) -> str | None:
        secured = self._writer.get_extra_info("ssl_object")
        return secured.version() if secured is not None else None
