"""What travels on the bus, with its codec and its version.

A packet has a small JSON part (`meta`) and raw octets (`body`), so that a mail is never encoded.
Readers ignore fields they do not know. A change that an older reader cannot take in that way gets
a new version, which the older reader leaves to a newer replica.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar, get_args

import msgspec
import orjson

from conduit.errors import MalformedEvent, UnknownEventVersion
from conduit.model.authentication import AuthResults
from conduit.model.delivery import Delivery
from conduit.model.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Packet:
    """An event as the bus carries it."""

    kind: str
    version: int
    meta: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class MailAccepted:
    """A mail that got its 250, on its way to one webhook.

    `delivery_id` is the idempotency key: it is made once, at the receipt, and sent as `webhook-id`
    with every attempt, so that an endpoint recognises a repetition after a crash or a lost answer.
    `raw` is the mail, or None when it is kept in the store under `message_id`, being too large for
    the bus. `attempt` is the number of the next attempt, counted from 1, which is made no earlier
    than `not_before`. `paced` tells that the webhook's rate limit has given out `not_before`, and
    `repaced` that it did so once more after that moment was missed: this one holds, however late;
    `parked`, that it is no more than the expected turn of a mail whose webhook is busy or fails, so
    that it may go ahead before if it can. `recorded` tells that the delivery and the mail are on
    record before the first attempt.
    `replay_of` is the delivery that the mail first came with, when its owner had it sent again.
    `shared` tells that the mail is on its way to other accounts too; where it is not known, it may.
    `authentication` is what SPF, DKIM, DMARC and ARC said, None where they were not asked.
    """

    KIND: ClassVar[str] = "mail.accepted"
    VERSION: ClassVar[int] = 1

    delivery_id: str
    message_id: str
    webhook_id: str
    envelope: Envelope
    received_at: datetime
    size: int
    raw: bytes | None = field(repr=False)
    attempt: int = 1
    not_before: datetime | None = None
    paced: bool = False
    repaced: bool = False
    replay_of: str | None = None
    shared: bool = True
    authentication: AuthResults | None = None
    parked: bool = False
    recorded: bool = False

    @classmethod
    def of(cls, delivery: Delivery) -> "MailAccepted":
        """The event of the next attempt of a delivery, whose mail is kept in the store."""
        return cls(
            delivery_id=delivery.id,
            message_id=delivery.message_id,
            webhook_id=delivery.webhook_id,
            envelope=delivery.envelope,
            received_at=delivery.received_at,
            size=delivery.size,
            raw=None,
            attempt=delivery.attempts + 1,
            replay_of=delivery.replay_of,
            shared=delivery.shared,
            authentication=delivery.authentication,
        )

    @property
    def on_record(self) -> bool:
        """Whether a dispatcher has recorded the delivery, and kept the mail, before."""
        return self.attempt > 1 or self.paced or self.recorded

    def by_reference(self) -> "MailAccepted":
        """The event of a mail that is kept in the store."""
        return replace(self, raw=None)

    def due_in(self, now: datetime) -> timedelta:
        """How long to wait for the next attempt; zero or less: it is due."""
        return (self.not_before or now) - now

    def late_by(self, now: datetime) -> timedelta:
        """How long ago the next attempt was due; zero or less: it is not due yet."""
        return now - (self.not_before or now)

    def postponed(
        self,
        until: datetime,
        *,
        paced: bool = False,
        parked: bool = False,
        recorded: bool = False,
    ) -> "MailAccepted":
        """The same attempt, later."""
        return replace(
            self,
            not_before=until,
            paced=paced,
            repaced=paced and self.paced,
            parked=parked,
            recorded=recorded,
        )

    def next_attempt(self, at: datetime) -> "MailAccepted":
        """The attempt after this one."""
        return replace(
            self,
            attempt=self.attempt + 1,
            not_before=at,
            paced=False,
            repaced=False,
            parked=False,
        )


@dataclass(frozen=True, slots=True)
class DomainCheckRequested:
    """Look for the TXT record of this claim."""

    KIND: ClassVar[str] = "domain.check_requested"
    VERSION: ClassVar[int] = 1

    domain_id: str


@dataclass(frozen=True, slots=True)
class DomainChecked:
    """What the look-up found. `problem` says to a user what is missing; None: verified.

    `taken` tells that another account has verified this name before.
    """

    KIND: ClassVar[str] = "domain.checked"
    VERSION: ClassVar[int] = 1

    domain_id: str
    problem: str | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class SimulationRequested:
    """Call this webhook with a mail that nobody sent, within `timeout` seconds."""

    KIND: ClassVar[str] = "simulation.requested"
    VERSION: ClassVar[int] = 1

    webhook_id: str
    sender: str
    subject: str
    text: str
    timeout: float


@dataclass(frozen=True, slots=True)
class SimulationDone:
    """What became of the call, as the delivery log has it. `error` None: the endpoint took it."""

    KIND: ClassVar[str] = "simulation.done"
    VERSION: ClassVar[int] = 1

    webhook_id: str
    http_status: int | None
    error: str | None
    duration_ms: int


class DeliveryOutcome(StrEnum):
    """What came of a mail whose sender waits for its endpoint.

    The first three are the endpoint's word, and on record. `over_rate`: not called, for the
    webhook's rate limit has no slot in time. `queued`: not called yet, it will be. `unavailable`:
    not called, for a neighbour of the dispatcher is away or the time was over.
    """

    DELIVERED = "delivered"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    OVER_RATE = "over_rate"
    QUEUED = "queued"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class DeliveryAsked:
    """Call the webhook of this mail now, once: its sender waits.

    Whoever takes this from the queue has `within` seconds from then on to call; the time that it
    may wait in the queue is the message's expiry. So no two clocks are ever compared. It has the
    version of the mail in it: a new one of that is a new one of this.
    """

    KIND: ClassVar[str] = "delivery.asked"
    VERSION: ClassVar[int] = MailAccepted.VERSION

    mail: MailAccepted
    within: float


@dataclass(frozen=True, slots=True)
class DeliveryAnswered:
    """What came of it. `code` and `message` are what the endpoint wants its sender to be told.

    `code` has the class of the outcome (2 delivered, 4 transient, 5 permanent); `message` is
    printable ASCII. Each is None where the endpoint said nothing.
    """

    KIND: ClassVar[str] = "delivery.answered"
    VERSION: ClassVar[int] = 1

    delivery_id: str
    outcome: DeliveryOutcome
    code: int | None = None
    message: str | None = None


Event = (
    MailAccepted
    | DomainCheckRequested
    | DomainChecked
    | SimulationRequested
    | SimulationDone
    | DeliveryAsked
    | DeliveryAnswered
)

_MAIL_META = tuple(known.name for known in fields(MailAccepted) if known.name != "raw")
_values_of = attrgetter(*_MAIL_META)


def encode(event: Event) -> Packet:
    """Return the event as the bus carries it."""
    if isinstance(event, MailAccepted):
        return _packet(event, _meta_of(event), event.raw or b"")
    if isinstance(event, DeliveryAsked):
        asked = {"mail": _meta_of(event.mail), "within": event.within}
        return _packet(event, asked, event.mail.raw or b"")
    return _packet(event, event)


def _meta_of(mail: MailAccepted) -> dict[str, Any]:
    """Return all but the octets of a mail, and whether they are elsewhere."""
    meta = dict(zip(_MAIL_META, _values_of(mail), strict=True))
    meta["stored"] = mail.raw is None
    return meta


def _packet(event: Event, meta: Event | dict[str, Any], body: bytes = b"") -> Packet:
    return Packet(event.KIND, event.VERSION, orjson.dumps(meta), body)


def decode(packet: Packet) -> Event:
    """Return the event of a packet, or raise MalformedEvent or UnknownEventVersion.

    What is missing has its default, what is not known is passed over; each value must be of the
    type that its field says.
    """
    kind = _KINDS.get(packet.kind)
    if kind is None:
        raise MalformedEvent(f"unknown kind {packet.kind!r}")
    if packet.version > kind.VERSION:
        raise UnknownEventVersion(f"{packet.kind} version {packet.version}")
    try:
        meta = orjson.loads(packet.meta)
        if kind is MailAccepted:
            _put_raw(meta, packet.body)
        elif kind is DeliveryAsked:
            _put_raw(meta["mail"], packet.body)
        return msgspec.convert(meta, kind, builtin_types=_NOT_AS_TEXT)
    except (TypeError, ValueError, KeyError, msgspec.ValidationError) as error:
        raise MalformedEvent(f"{packet.kind}: {error}") from error


def _put_raw(mail: dict[str, Any], body: bytes) -> None:
    """Put the octets of a mail where its event has them, None for what is kept in the store."""
    mail["raw"] = None if mail["stored"] else body


_NOT_AS_TEXT = (bytes,)
"""What is in its own form already, other than JSON has it."""

_KINDS: dict[str, type[Event]] = {kind.KIND: kind for kind in get_args(Event)}
