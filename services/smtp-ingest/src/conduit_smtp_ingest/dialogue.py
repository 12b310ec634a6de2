"""The server's side of an SMTP dialogue: commands in, replies out, and when it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from conduit_smtp_ingest import replies
from conduit_smtp_ingest.connection import Connection, ConnectionEnded
from conduit_smtp_ingest.limits import Limits
from conduit_smtp_ingest.replies import Reply

log = logging.getLogger(__name__)

_LINGER = 5.0  # seconds until a closed connection is cut off whose peer does not read
_PATIENCE = 3.0  # seconds that a session may be silent when the service stops
_HTTP = frozenset(b"GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE PRI".split())


class Dialogue:
    """Reads commands and hands each to the method of its verb, `smtp_…` of a subclass."""

    _verbs: ClassVar[Mapping[str, Callable[[Any, str], Awaitable[None]]]]

    def __init_subclass__(cls) -> None:
        """Collect the verbs."""
        cls._verbs = {
            name.removeprefix("smtp_"): getattr(cls, name)
            for name in dir(cls)
            if name.startswith("smtp_")
        }

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._errors = 0
        self._unknown = 0
        self._failures = 0
        self._commands = 0
        self._waiting = False
        self._accepting = False
        self._timed_out = False
        self._retiring = False
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + limits.total
        self._silent_until = self._loop.time() + limits.idle
        self._timer = self._loop.call_later(min(limits.total, limits.idle), self._check_time)

    @property
    def _mail_under_way(self) -> bool:
        """Whether a mail has begun that is not answered yet."""
        return False

    @property
    def _remote_ip(self) -> str:
        """The client's address, as far as it is known."""
        return self._connection.peer_ip

    def _give_up_mail(self) -> None:
        """Forget the mail that is under way."""

    def retire(self) -> None:
        """End the session as soon as no mail is under way, or its client is silent."""
        self._retiring = True
        if self._waiting and not self._mail_under_way:
            self.end(replies.STOPPING)
        else:
            self._heard()
            self._check_time()

    def _heard(self) -> None:
        """The client has said something: it may be silent for as long again."""
        idle = min(self._limits.idle, _PATIENCE) if self._retiring else self._limits.idle
        self._silent_until = self._loop.time() + idle

    def _check_time(self) -> None:
        """End a session that is over its time, or look again when it may be."""
        self._timer.cancel()
        due = min(self._until, self._silent_until)
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._check_time)
            return
        # Who waits for the reply to a mail is not the one who is slow.
        self._timed_out = True
        if not self._accepting:
            self.end(self._late)

    @property
    def _late(self) -> Reply:
        return replies.STOPPING if self._retiring else replies.TIMED_OUT

    def end(self, reply: Reply) -> None:
        """Say why, and close."""
        if not self._ended:
            self.reply(reply)
            self.close()

    def close(self) -> None:
        """Close when what was written is sent; a peer that reads nothing is not waited for."""
        if self._ended:
            return
        self._ended = True
        self._timer.cancel()
        self._connection.close()
        self._timer = self._loop.call_later(_LINGER, self._connection.abort)

    async def run(self) -> None:
        """Hold the dialogue to its end."""
        self._connection.write(f"220 {self._limits.hostname} ESMTP\r\n".encode())
        while not self._ended:
            line = await self._line(max(self._limits.command_line, self._longest_auth))
            await self._execute(line)
            if (reason := self._reason_to_end()) is not None:
                self.end(reason)

    def _reason_to_end(self) -> Reply | None:
        limits = self._limits
        if self._errors >= limits.errors:
            return replies.TOO_MANY_ERRORS
        if self._unknown >= limits.unknown:
            return replies.TOO_MANY_UNKNOWN
        if self._failures >= limits.auth_failures:
            return replies.TOO_MANY_AUTH_FAILURES
        if self._commands >= limits.commands:
            return replies.TOO_MANY_COMMANDS
        if self._retiring and not self._mail_under_way:
            return replies.STOPPING
        return self._late if self._timed_out else None

    @property
    def _longest_auth(self) -> int:
        """Octets of an AUTH command with its end, which is longer than others may be."""
        return 0

    async def _line(self, limit: int) -> bytes | None:
        """Return the next line without its end, or None for one that is too long."""
        self._waiting = True
        try:
            line = await self._connection.line(limit)
        finally:
            self._waiting = False
        self._heard()
        return line

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """While it is us who are waited for, the client is not timed out."""
        self._accepting = True
        try:
            yield
        finally:
            self._accepting = False
            self._heard()

    async def _execute(self, line: bytes | None) -> None:
        self._commands += 1
        if line is None:
            return self.refuse(replies.COMMAND_TOO_LONG)
        verb, _, argument = line.partition(b" ")
        if len(line) > self._limits.command_line - len(b"\r\n") and verb.upper() != b"AUTH":
            return self.refuse(replies.COMMAND_TOO_LONG)
        if not verb.isascii():
            return self.refuse(replies.NOT_ASCII)
        method = self._verbs.get(verb.decode().upper())
        if method is None:
            unknown = replies.UNKNOWN_COMMAND
            return self.end(replies.NOT_HTTP) if verb in _HTTP else self.refuse(unknown)
        try:
            # Octets that are no UTF-8 become lone surrogates, which no address may have.
            await method(self, argument.strip().decode(errors="surrogateescape"))
        except ConnectionEnded:
            raise
        except Exception:
            log.exception("session.fault", extra={"remote_ip": self._remote_ip})
            self._give_up_mail()
            self.reply(replies.INTERNAL)
        return None

    def reply(self, *lines: Reply) -> None:
        """Give a reply of one or several lines; it is sent when the client is waited for."""
        *first, last = lines
        for line in map(str, first):
            self._connection.write(f"{line[:3]}-{line[4:]}\r\n".encode())
        self._connection.write(f"{last}\r\n".encode())

    def refuse(self, reply: Reply) -> None:
        """Give a reply to a bad command; too many of them end the session."""
        self._errors += 1
        self.reply(reply)
