"""The mail that an event speaks of: it is in the event, or in the store."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit_dispatcher.calls import read


class Messages(Protocol):
    """What the dispatcher needs of the kept mails, for those that travel by reference."""

    async def get(self, message_id: str) -> bytes | None:
        """Return a mail, or None when it is not kept any more."""

    async def hold(self, message_ids: Collection[str], until: datetime) -> set[str]:
        """Keep mails that are needed at this moment; return those that are kept."""

    async def put_until(self, message: Message, until: datetime) -> None:
        """Keep a mail that is needed up to this moment, whatever the retention."""


@dataclass(frozen=True, slots=True)
class Mails:
    """Reads mails. One that travels by reference is needed again within `longest_wait`."""

    messages: Messages
    longest_wait: timedelta

    async def read(
        self, event: MailAccepted, *, needed: datetime | None = None
    ) -> ParsedMail | None:
        """Return the mail, or None when it is not kept any more.

        One that travels by reference stays kept until it is `needed` again, by default up to the
        next attempt, whenever that is.
        """
        raw = event.raw
        if raw is None:
            await self.need(event, needed or utc_now() + self.longest_wait)
            raw = await self.messages.get(event.message_id)
        return None if raw is None else await read(raw)

    async def need(self, event: MailAccepted, until: datetime) -> None:
        """Have a mail that travels by reference stay kept up to this moment."""
        if event.raw is None:
            await self.messages.hold([event.message_id], until)

    async def secure(self, event: MailAccepted, until: datetime) -> ParsedMail | None:
        """Have the store keep a mail, which is on no queue then; None: it is not kept any more."""
        if event.raw is not None:
            message = Message(event.message_id, event.received_at, event.raw)
            await self.messages.put_until(message, until)
        return await self.read(event, needed=until)
