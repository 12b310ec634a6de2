"""One SMTP session: a method per verb translates between the dialogue and our types."""

import asyncio
import ssl
from collections.abc import Sequence

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
from conduit_smtp_ingest.dialogue import Dialogue
from conduit_smtp_ingest.intake import REFUSED, Client, Intake, Recipient, Transaction
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.parameters import MailParameters, ParameterError
from conduit_smtp_ingest.replies import Reply, for_verdict
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.streams import forget

_TLS_HANDSHAKE = 30.0  # seconds


class SmtpSession(Dialogue):
    """What each command means, and the mail that they build up."""

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
        super().__init__(sessions, limits, hostname)
        self._intake = intake
        self._budget = budget
        self._tls = tls
        self._helo = ""
        self._transaction: Transaction | None = None

    @property
    def _mail_under_way(self) -> bool:
        return self._transaction is not None

    def _give_up_mail(self) -> None:
        self._transaction = None

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
