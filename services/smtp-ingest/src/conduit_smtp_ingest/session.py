"""One SMTP session. A method per verb translates between the dialogue and our types.

From aiosmtpd come the protocol and its streams. The loop over commands, every reply, the paths,
DATA and STARTTLS are ours: see docs/decisions for what aiosmtpd's do with hostile input.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence

from aiosmtpd.smtp import SMTP

from conduit.mail.address import (
    Address,
    AddressError,
    check_utf8,
    parse_forward_path,
    parse_reverse_path,
)
from conduit.model.verdict import Accept, Defer, Reason, Reject
from conduit_smtp_ingest import replies
from conduit_smtp_ingest.data_reader import DataReader, Unread
from conduit_smtp_ingest.intake import REFUSED, Client, Intake, Recipient, Transaction
from conduit_smtp_ingest.limits import COMMAND, READ_AHEAD, Budget, Limits
from conduit_smtp_ingest.parameters import MailParameters, ParameterError
from conduit_smtp_ingest.replies import Reply, for_verdict
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.streams import forget

log = logging.getLogger(__name__)

_TLS_HANDSHAKE = 30.0  # seconds
_LINGER = 5.0  # seconds until a closed connection is cut off whose peer does not read
_PATIENCE = 3.0  # seconds that a session may be silent when the service stops


class SmtpSession(SMTP):
    """The server's side of one connection."""

    line_length_limit = READ_AHEAD

    def __init__(
        self,
        intake: Intake,
        sessions: Sessions,
        limits: Limits,
        budget: Budget,
        *,
        hostname: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(
            handler=None,
            hostname=hostname,
            ident="ESMTP",
            data_size_limit=limits.size,
            enable_SMTPUTF8=True,
            timeout=limits.idle,
            loop=asyncio.get_running_loop(),
        )
        self._intake = intake
        self._sessions = sessions
        self._limits = limits
        self._budget = budget
        self._tls = tls
        self._helo = ""
        self._transaction: Transaction | None = None
        self._errors = 0
        self._unknown = 0
        self._waiting = False
        self._accepting = False
        self._timed_out = False
        self._retiring = False
        self._ended = False
        self._deadline: asyncio.TimerHandle | None = None

    # The connection

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
        if self._waiting and self._transaction is None:
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
            if self._retiring and self._transaction is None:
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
            self._transaction = None
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

    # Who is there

    @property
    def _remote_ip(self) -> str:
        peer = self._writer.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def _tls_version(self) -> str | None:
        secured = self._writer.get_extra_info("ssl_object")
        return secured.version() if secured is not None else None

    # The verbs

    async def smtp_HELO(self, hostname: str) -> None:
        """RFC 5321 §4.1.1.1."""
        if await self._greeted(hostname):
            await self.push(f"250 {self.hostname}")

    async def smtp_EHLO(self, hostname: str) -> None:
        """RFC 5321 §4.1.1.1; what we can do."""
        if not await self._greeted(hostname):
            return
        extensions = [
            f"SIZE {self._limits.size}",
            "8BITMIME",
            "SMTPUTF8",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
        ]
        if self._tls is not None and self._tls_version is None:
            extensions.append("STARTTLS")
        *first, last = [self.hostname, *extensions]
        await self.push("".join(f"250-{line}\r\n" for line in first) + f"250 {last}")

    async def _greeted(self, hostname: str) -> bool:
        if not hostname.strip() or not hostname.isprintable():
            await self.refuse(replies.NEEDS_HOSTNAME)
            return False
        self._helo = hostname[:255]
        self._transaction = None
        return True

    async def smtp_STARTTLS(self, argument: str) -> None:
        """RFC 3207. What was sent in the clear before the handshake is forgotten (§4.2)."""
        if argument:
            return await self.refuse(replies.NO_ARGUMENT)
        if self._tls_version is not None:
            return await self.refuse(replies.TLS_ACTIVE)
        if self._tls is None:
            return await self.refuse(replies.NO_TLS)
        await self.reply(replies.START_TLS)
        forget(self._reader)
        await self._writer.start_tls(self._tls, ssl_handshake_timeout=_TLS_HANDSHAKE)
        self.transport = self._writer.transport
        self._helo, self._transaction = "", None
        return None

    async def smtp_MAIL(self, argument: str) -> None:
        """RFC 5321 §4.1.1.2."""
        path = _after("FROM:", argument)
        if not self._helo:
            return await self.refuse(replies.HELLO_FIRST)
        if self._transaction is not None:
            return await self.refuse(replies.NESTED_MAIL)
        if path is None:
            return await self.refuse(replies.MAIL_SYNTAX)
        return await self._begin(path)

    async def _begin(self, path: str) -> None:
        try:
            sender, rest = parse_reverse_path(path)
            parameters = MailParameters.parse(rest)
            check_utf8(sender, allowed=parameters.utf8)
        except ParameterError as error:
            return await self.refuse(error.reply)
        except AddressError as error:
            return await self.refuse(replies.bad_address(sender=True, problem=str(error)))
        if parameters.size > self._limits.size:
            REFUSED.labels(Reason.TOO_LARGE).inc()
            return await self.reply(for_verdict(Reject(Reason.TOO_LARGE)))
        self._transaction = Transaction(sender, parameters.utf8)
        return await self.reply(replies.SENDER_OK)

    async def smtp_RCPT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.3."""
        path = _after("TO:", argument)
        if self._transaction is None:
            return await self.refuse(replies.MAIL_FIRST)
        if path is None:
            return await self.refuse(replies.RCPT_SYNTAX)
        try:
            address, parameters = parse_forward_path(path)
            check_utf8(address, allowed=self._transaction.utf8)
        except AddressError as error:
            return await self.refuse(replies.bad_address(sender=False, problem=str(error)))
        if parameters:
            return await self.refuse(replies.UNKNOWN_PARAMETER)
        return await self._add(address, self._transaction)

    async def _add(self, address: Address, transaction: Transaction) -> None:
        if len(transaction.recipients) >= self._limits.recipients:
            REFUSED.labels(Reason.TOO_MANY_RECIPIENTS).inc()
            return await self.reply(for_verdict(Defer(Reason.TOO_MANY_RECIPIENTS)))
        verdict, webhook = await self._intake.recipient(address)
        if isinstance(verdict, Accept) and webhook is not None:
            transaction.recipients.append(Recipient(address, webhook))
        elif isinstance(verdict, Reject) and verdict.reason is Reason.UNKNOWN_ADDRESS:
            self._unknown += 1
        return await self.reply(for_verdict(verdict))

    async def smtp_DATA(self, argument: str) -> None:
        """RFC 5321 §4.1.1.4."""
        if argument:
            return await self.refuse(replies.NO_ARGUMENT)
        if self._transaction is None or not self._transaction.recipients:
            return await self.refuse(replies.RECIPIENT_FIRST)
        await self.reply(replies.GO_AHEAD)
        data = DataReader(self._limits, self._budget)
        raw = await data.read(self._reader, self._reset_timeout)
        if isinstance(raw, Unread):
            REFUSED.labels(raw.reason).inc()
            lines: Sequence[Reply] = [for_verdict(raw.verdict)]
        else:
            lines = await self._accepted(data, raw, self._transaction)
        self._transaction = None
        return await self.reply(*lines)

    async def _accepted(
        self, data: DataReader, raw: bytes, transaction: Transaction
    ) -> Sequence[Reply]:
        self._accepting = True
        try:
            # A client that leaves now must not undo a publish that the broker may have seen.
            accepting = self._accept(data, raw, transaction)
            return await asyncio.shield(self._sessions.finishing(accepting))
        finally:
            self._accepting = False

    async def _accept(
        self, data: DataReader, raw: bytes, transaction: Transaction
    ) -> Sequence[Reply]:
        client = Client(self._helo, self._remote_ip, self._tls_version)
        try:
            return await self._intake.accept(raw, transaction, client)
        finally:
            data.release()

    async def smtp_RSET(self, argument: str) -> None:
        """RFC 5321 §4.1.1.5."""
        if argument:
            return await self.refuse(replies.NO_ARGUMENT)
        self._transaction = None
        return await self.reply(replies.OK)

    async def smtp_NOOP(self, _argument: str) -> None:
        """RFC 5321 §4.1.1.9."""
        await self.reply(replies.OK)

    async def smtp_HELP(self, _argument: str) -> None:
        """RFC 5321 §4.1.1.8."""
        await self.reply(replies.HELP)

    async def smtp_VRFY(self, _argument: str) -> None:
        """RFC 5321 §3.5.3: tells nobody which addresses there are."""
        await self.reply(replies.NOT_VERIFIED)

    async def smtp_EXPN(self, _argument: str) -> None:
        """RFC 5321 §3.5.2: there are no lists."""
        await self.refuse(replies.NOT_IMPLEMENTED)

    async def smtp_AUTH(self, _argument: str) -> None:
        """RFC 4954; not offered."""
        await self.refuse(replies.NOT_IMPLEMENTED)

    async def smtp_QUIT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.10."""
        if argument:
            return await self.refuse(replies.NO_ARGUMENT)
        await self.reply(replies.BYE)
        self._close()
        return None


def _after(keyword: str, argument: str) -> str | None:
    """Return what follows `FROM:` or `TO:`; a space after the colon is wrong but common."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    return argument[len(keyword) :].lstrip(" ")
