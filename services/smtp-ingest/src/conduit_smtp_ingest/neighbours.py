"""Whom the intake works with, and on what terms it takes mail."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from conduit.events import MailAccepted, Packet
from conduit.mail.address import Address
from conduit.model.authentication import AuthResults
from conduit.model.envelope import Envelope
from conduit.model.message import Message
from conduit.model.policy import SmtpPolicy
from conduit.model.verdict import Reason
from conduit.model.webhook import DeliveryMode
from conduit_smtp_ingest.directory import Found
from conduit_smtp_ingest.replies import Reply
from conduit_smtp_ingest.synchronous import Conclusion


class Finds(Protocol):
    """Where the webhooks of addresses are found."""

    async def find(self, address: Address) -> Found | None:
        """Return where the mail of an address goes, or raise Unavailable."""


class Publishes(Protocol):
    """What the intake needs of the bus: return when durable, raise Unavailable when in doubt."""

    async def publish(self, packet: Packet, queue: str) -> None:
        """Publish a packet to a queue."""


class Keeps(Protocol):
    """What the intake needs of the store, for mails too large for the bus."""

    async def put(self, message: Message) -> None:
        """Keep the octets of a mail; return when they are durable."""


class Authenticates(Protocol):
    """Who finds out whom a mail is from."""

    async def results(
        self, raw: bytes, *, remote_ip: str, helo: str, sender: Address | None
    ) -> AuthResults:
        """Return what SPF, DKIM, DMARC and ARC say."""


class Delivers(Protocol):
    """Who has the endpoint called while the sender waits."""

    async def deliver(self, event: MailAccepted, mode: DeliveryMode) -> Conclusion:
        """Return what to tell the sender, or raise Unavailable."""


class Notes(Protocol):
    """Who takes note of refusals."""

    def note(
        self,
        webhook_id: str,
        reason: Reason,
        reply: Reply,
        envelope: Envelope,
        smtp_message_id: str | None = None,
    ) -> None:
        """Take note of one, which does not wait for anything."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms mail is taken.

    `bus_limit` are the octets of a mail that travels on the bus, `hostname` is who we are in its
    trace, `authenticate_all` whether mail is looked into that no policy asks of,
    `recipients` how many a mail may have, and `sync_limit` how many senders may wait for one
    webhook at a time.
    """

    bus_limit: int
    hostname: str
    authenticate_all: bool
    recipients: int
    sync_limit: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom the intake works with.

    `policy_of` takes the ids of an account and of its policy; `lane_of` gives the queue for one
    more mail of a webhook.
    """

    directory: Finds
    policy_of: Callable[[tuple[str, str]], Awaitable[SmtpPolicy | None]]
    authenticator: Authenticates
    lane_of: Callable[[str], str]
    publisher: Publishes
    messages: Keeps
    sync: Delivers
    refusals: Notes
