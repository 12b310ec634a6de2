"""How an event's packet lies in an AMQP message: raw octets as the body, the rest beside it."""

from collections.abc import Mapping
from typing import Protocol

from aio_pika import DeliveryMode, Message

from conduit.errors import MalformedEvent
from conduit.events import Packet

_META = "conduit-meta"
_VERSION = "conduit-version"
_FAULTS = "conduit-faults"
_BEGUN = "conduit-begun"


class Received(Protocol):
    """A message as it came, from wherever it was taken."""

    @property
    def headers(self) -> Mapping[str, object]:
        """What stands beside the body, by name; off the wire, a text is its octets."""

    @property
    def type(self) -> str | None:
        """The kind of event."""

    @property
    def body(self) -> bytes:
        """The raw octets."""


def to_message(packet: Packet) -> Message:
    """Return a persistent message, as aio-pika publishes it."""
    return Message(
        packet.body,
        headers={_META: packet.meta.decode(), _VERSION: packet.version, _FAULTS: 0},
        type=packet.kind,
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def headers_of(packet: Packet, *, faults: int = 0, begun: bool = False) -> dict[str, bytes | int]:
    """Return what stands beside the body, by name."""
    headers: dict[str, bytes | int] = {
        _META: packet.meta,
        _VERSION: packet.version,
        _FAULTS: faults,
    }
    if begun:
        headers[_BEGUN] = True
    return headers


def from_message(message: Received) -> Packet:
    """Return the packet of a message, or raise MalformedEvent."""
    headers, kind = message.headers, message.type
    meta, version = headers.get(_META), headers.get(_VERSION)
    if isinstance(meta, str):
        meta = meta.encode()
    if not isinstance(meta, bytes) or not isinstance(version, int) or not kind:
        raise MalformedEvent("a message without our headers")
    return Packet(kind, version, meta, message.body)


def faults_of(message: Received) -> int:
    """How often a handler has failed on this message unexpectedly."""
    faults = message.headers.get(_FAULTS)
    return faults if isinstance(faults, int) else 0


def was_begun(message: Received) -> bool:
    """Whether it was put off after a handler had begun on it."""
    return message.headers.get(_BEGUN) == 1
