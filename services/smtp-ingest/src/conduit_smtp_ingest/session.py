"""One SMTP session: a method per verb translates between the dialogue and our types."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from prometheus_client import Counter

from conduit.errors import Unavailable
from conduit.mail.address import (
    Address,
    AddressError,
    check_utf8,
    parse_forward_path,
    parse_reverse_path,
)
from conduit.model.verdict import Accept, Reason, Reject
from conduit_smtp_ingest import replies, sasl
from conduit_smtp_ingest.connection import Connection
from conduit_smtp_ingest.data_reader import DataReader, Unread
from conduit_smtp_ingest.dialogue import Dialogue
from conduit_smtp_ingest.intake import REFUSED
from conduit_smtp_ingest.parameters import MailParameters, ParameterError
from conduit_smtp_ingest.replies import Reply, for_verdict
from conduit_smtp_ingest.sasl import Challenge, Claim, Refused
from conduit_smtp_ingest.server import TLS_HANDSHAKE, Server
from conduit_smtp_ingest.transaction import Client, Transaction

log = logging.getLogger(__name__)

AUTHENTICATIONS = Counter("conduit_ingest_authentications", "Attempts at AUTH.", ["result"])


class SmtpSession(Dialogue):
    """What each command means, and the mail that they build up."""

    def __init__(self, server: Server, connection: Connection) -> None:
        super().__init__(connection, server.limits)
        self._server = server
        self.client = Client(connection.peer_ip)
        self._transaction: Transaction | None = None
        self._data_since = 0.0

    @property
    def _mail_under_way(self) -> bool:
        return self._transaction is not None

    @property
    def _remote_ip(self) -> str:
        return self.client.remote_ip

    @property
    def _longest_auth(self) -> int:
        return sasl.LONGEST_LINE if self.client.tls is not None else 0

    def _give_up_mail(self) -> None:
        self._transaction = None

    async def smtp_HELO(self, hostname: str) -> None:
        """RFC 5321 §4.1.1.1."""
        if self._greeted(hostname, extended=False):
            self._connection.write(f"250 {self._limits.hostname}\r\n".encode())

    async def smtp_EHLO(self, hostname: str) -> None:
        """RFC 5321 §4.1.1.1; what we can do."""
        if not self._greeted(hostname, extended=True):
            return
        *first, last = [self._limits.hostname, *self._extensions()]
        lines = "".join(f"250-{line}\r\n" for line in first) + f"250 {last}\r\n"
        self._connection.write(lines.encode())

    def _extensions(self) -> list[str]:
        extensions = [
            f"SIZE {self._limits.size}",
            "8BITMIME",
            "SMTPUTF8",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
        ]
        if self.client.tls is not None:
            extensions.append(f"AUTH {' '.join(sasl.MECHANISMS)}")
        elif self._server.tls is not None:
            extensions.append("STARTTLS")
        return extensions

    def _greeted(self, hostname: str, *, extended: bool) -> bool:
        if not hostname.strip() or not hostname.isprintable():
            self.refuse(replies.NEEDS_HOSTNAME)
            return False
        self.client = replace(
            self.client, helo=hostname[:255], extended=extended, tls=self._connection.tls_version
        )
        self._transaction = None
        return True

    async def smtp_STARTTLS(self, argument: str) -> None:
        """RFC 3207. What was sent in the clear before the handshake is forgotten (§4.2)."""
        if argument:
            return self.refuse(replies.NO_ARGUMENT)
        if self._connection.tls_version is not None:
            return self.refuse(replies.TLS_ACTIVE)
        if self._server.tls is None:
            return self.refuse(replies.NO_TLS)
        self.reply(replies.START_TLS)
        await self._connection.start_tls(self._server.tls.context, timeout=TLS_HANDSHAKE)
        self.client, self._transaction = Client(self.client.remote_ip), None
        return None

    async def smtp_AUTH(self, argument: str) -> None:
        """RFC 4954, inside TLS only."""
        if (refusal := self._no_auth()) is not None:
            return self.refuse(refusal)
        mechanism, _, initial = argument.partition(" ")
        step = sasl.start(mechanism, initial.strip() or None)
        while isinstance(step, Challenge):
            self.reply(step.reply)
            line = await self._line(sasl.LONGEST_LINE)
            step = Refused(replies.AUTH_LINE_TOO_LONG) if line is None else step.answer(line)
        return self.refuse(step.reply) if isinstance(step, Refused) else await self._verify(step)

    def _no_auth(self) -> Reply | None:
        """Why there can be no AUTH at this point."""
        if not self.client.helo:
            return replies.HELLO_FIRST
        if self._server.tls is None:
            return replies.NOT_IMPLEMENTED
        if self.client.tls is None:
            return replies.ENCRYPTION_REQUIRED
        if self.client.authenticated_as is not None:
            return replies.ALREADY_AUTHENTICATED
        return replies.AUTH_DURING_MAIL if self._transaction is not None else None

    async def _verify(self, claim: Claim) -> None:
        """Say whether the claim is true, but not to an address that has guessed too often."""
        failures, remote_ip = self._server.auth_failures, self.client.remote_ip
        if failures.blocked(remote_ip):
            self._failures += 1
            return self.reply(replies.AUTH_BLOCKED)
        try:
            with self._busy():
                satisfied = await self._server.credentials.verify(claim.username, claim.password)
        except Unavailable as error:
            log.warning("auth.unavailable", extra={"error": str(error)})
            return self.reply(replies.AUTH_AWAY)
        if not satisfied:
            failures.failed(remote_ip)
            self._failures += 1
            AUTHENTICATIONS.labels("failed").inc()
            log.warning(
                "auth.failed", extra={"username": claim.username[:255], "remote_ip": remote_ip}
            )
            return self.reply(replies.BAD_CREDENTIALS)
        AUTHENTICATIONS.labels("succeeded").inc()
        self.client = replace(self.client, authenticated_as=claim.username, satisfied=satisfied)
        return self.reply(replies.AUTHENTICATED)

    async def smtp_MAIL(self, argument: str) -> None:
        """RFC 5321 §4.1.1.2."""
        path = _after("FROM:", argument)
        if not self.client.helo:
            return self.refuse(replies.HELLO_FIRST)
        if self._transaction is not None:
            return self.refuse(replies.NESTED_MAIL)
        if path is None:
            return self.refuse(replies.MAIL_SYNTAX)
        return await self._begin(path)

    async def _begin(self, path: str) -> None:
        try:
            sender, rest = parse_reverse_path(path)
            parameters = MailParameters.parse(rest)
            check_utf8(sender, allowed=parameters.utf8)
        except ParameterError as error:
            return self.refuse(error.reply)
        except AddressError as error:
            return self.refuse(replies.bad_address(sender=True, problem=str(error)))
        if parameters.size > self._limits.size:
            REFUSED.labels(Reason.TOO_LARGE).inc()
            return self.reply(for_verdict(Reject(Reason.TOO_LARGE)))
        self._transaction = Transaction(sender, parameters.utf8)
        return self.reply(replies.SENDER_OK)

    async def smtp_RCPT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.3."""
        path = _after("TO:", argument)
        if self._transaction is None:
            return self.refuse(replies.MAIL_FIRST)
        if path is None:
            return self.refuse(replies.RCPT_SYNTAX)
        try:
            address, parameters = parse_forward_path(path)
            check_utf8(address, allowed=self._transaction.utf8)
        except AddressError as error:
            return self.refuse(replies.bad_address(sender=False, problem=str(error)))
        if parameters:
            return self.refuse(replies.UNKNOWN_PARAMETER)
        return await self._add(address, self._transaction)

    async def _add(self, address: Address, transaction: Transaction) -> None:
        verdict = await self._server.intake.recipient(address, transaction, self.client)
        if not isinstance(verdict, Accept) and verdict.reason is Reason.UNKNOWN_ADDRESS:
            self._unknown += 1
        return self.reply(for_verdict(verdict))

    async def smtp_DATA(self, argument: str) -> None:
        """RFC 5321 §4.1.1.4."""
        if argument:
            return self.refuse(replies.NO_ARGUMENT)
        if self._transaction is None:
            return self.refuse(replies.RECIPIENT_FIRST)
        if not self._transaction.recipients:
            # Sent in one packet with recipients who were refused (RFC 2920 §3.1), it is no error.
            return self.reply(replies.RECIPIENT_FIRST)
        self.reply(replies.GO_AHEAD)
        data = DataReader(self._limits, self._server.budget)
        self._data_since = self._loop.time()
        raw = await data.read(self._connection, self._progress)
        if isinstance(raw, Unread):
            lines = self._server.intake.refuse(raw.verdict, self._transaction, self.client)
        else:
            lines = await self._accepted(data, raw, self._transaction)
        self._transaction = None
        return self.reply(*lines)

    def _progress(self, octets: int) -> None:
        """Be as patient as with silence, and beyond that for as long as the octets come fast."""
        self._heard()
        slowest = self._data_since + self._limits.idle + octets / self._limits.data_rate
        self._silent_until = min(self._silent_until, slowest)

    async def _accepted(
        self, data: DataReader, raw: bytes, transaction: Transaction
    ) -> Sequence[Reply]:
        try:
            with self._busy():
                lines = await self._server.intake.accept(raw, transaction, self.client)
        finally:
            data.release()
        if lines[0].code == 250:
            self._commands = 0
        return lines

    async def smtp_RSET(self, argument: str) -> None:
        """RFC 5321 §4.1.1.5."""
        if argument:
            return self.refuse(replies.NO_ARGUMENT)
        self._transaction = None
        return self.reply(replies.OK)

    async def smtp_NOOP(self, _argument: str) -> None:
        """RFC 5321 §4.1.1.9."""
        self.reply(replies.OK)

    async def smtp_HELP(self, _argument: str) -> None:
        """RFC 5321 §4.1.1.8."""
        self.reply(replies.HELP)

    async def smtp_VRFY(self, _argument: str) -> None:
        """RFC 5321 §3.5.3: tells nobody which addresses there are."""
        self.reply(replies.NOT_VERIFIED)

    async def smtp_EXPN(self, _argument: str) -> None:
        """RFC 5321 §3.5.2: there are no lists."""
        self.refuse(replies.NOT_IMPLEMENTED)

    async def smtp_XCLIENT(self, _argument: str) -> None:
        """Postfix's; nobody may say here who else they are."""
        self.refuse(replies.NOT_IMPLEMENTED)

    async def smtp_QUIT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.10."""
        if argument:
            return self.refuse(replies.NO_ARGUMENT)
        self.end(replies.BYE)
        return None


def _after(keyword: str, argument: str) -> str | None:
    """Return what follows `FROM:` or `TO:`; a space after the colon is wrong but common."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    return argument[len(keyword) :].lstrip(" ")
