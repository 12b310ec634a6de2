"""AMQP 0-9-1's frames, as far as a consumer meets them for each message (section 4.2.3 ff.).

pamqp reads any frame by going through lists of attributes and types; three of them for each
message take more time than all else that a consumer does with it.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
END: Final = 0xCE

PREFIX = Struct(">BHI")
"""Kind, channel and size: what each frame begins with. After the payload comes END."""

IDLE = b"\x08\x00\x00\x00\x00\x00\x00\xce"
"""A whole frame of kind HEARTBEAT."""

CHANNEL_CLOSE: Final = (20, 40)
CHANNEL_CLOSE_OK: Final = (20, 41)
_BASIC_ACK: Final = (60, 80)
_BASIC_DELIVER: Final = (60, 60)
_BASIC_NACK: Final = (60, 120)
_MULTIPLE: Final = 1
_REQUEUE: Final = 2

_METHOD_ID = Struct(">HH")
_METHOD_AND_LENGTH = Struct(">HHB")
_NUMBER_AND_BITS = Struct(">QB")
_SIZE_AND_FLAGS = Struct(">HHQH")
_SETTLED = Struct(">BHIHHQBB")

# Bits of the flags of the properties, in the order in which these stand (section 4.2.6.1).
_HEADERS, _DELIVERY_MODE, _PRIORITY, _TIMESTAMP = 13, 12, 11, 6
_CORRELATION_ID, _REPLY_TO, _TYPE = 10, 9, 5
_CONTINUED: Final = 1

_ORDER = range(15, 1, -1)
_OCTETS = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}
_USED = frozenset({_CORRELATION_ID, _REPLY_TO, _TYPE})

# What stands in a table, by its type: section 4.2.5.5, with RabbitMQ's errata.
_LENGTH = Struct(">I")
_TEXT: Final = ord("S")
_OF_SOME_LENGTH = frozenset(b"SAFx")
_NUMBERS = {
    ord(kind): Struct(f">{form}") for kind, form in zip("tbBsuIilL", "?bBhHiIqq", strict=True)
}
_UNUSED = {ord("f"): 4, ord("d"): 8, ord("D"): 5, ord("T"): 8, ord("V"): 0}


class Deliver(NamedTuple):
    """The method that begins a delivery. `number` is the delivery's on its channel."""

    consumer_tag: bytes
    number: int
    redelivered: bool


class Properties(NamedTuple):
    """What stands beside a body, of what we use; a text of the headers as its octets."""

    size: int
    headers: Mapping[str, bytes | int]
    type: str | None
    correlation_id: str | None
    reply_to: str | None


def method_id(data: bytes, start: int) -> tuple[int, int]:
    """Return class and method of the METHOD whose payload begins at `start`."""
    return _METHOD_ID.unpack_from(data, start)


def deliver_of(data: bytes, start: int) -> Deliver | None:
    """Return the METHOD whose payload begins at `start`; None when it delivers nothing."""
    class_id, method, length = _METHOD_AND_LENGTH.unpack_from(data, start)
    if (class_id, method) != _BASIC_DELIVER:
        return None
    tag = start + _METHOD_AND_LENGTH.size
    number, bits = _NUMBER_AND_BITS.unpack_from(data, tag + length)
    return Deliver(data[tag : tag + length], number, bits & 1 == 1)


def properties_of(data: bytes, start: int) -> Properties:
    """Read the HEADER whose payload begins at `start`; raise ValueError when it is damaged."""
    _, _, size, flags = _SIZE_AND_FLAGS.unpack_from(data, start)
    headers: Mapping[str, bytes | int] = {}
    texts: dict[int, str] = {}
    position = start + _SIZE_AND_FLAGS.size
    for bit in _present(flags):
        if bit == _HEADERS:
            begin = position + _LENGTH.size
            after = begin + _LENGTH.unpack_from(data, position)[0]
            headers = _table(data, begin, after)
        elif bit in _OCTETS:
            after = position + _OCTETS[bit]
        else:
            after = position + 1 + data[position]
            if bit in _USED:
                texts[bit] = data[position + 1 : after].decode(errors="replace")
        position = after
    return Properties(
        size, headers, texts.get(_TYPE), texts.get(_CORRELATION_ID), texts.get(_REPLY_TO)
    )


@lru_cache(maxsize=64)
def _present(flags: int) -> tuple[int, ...]:
    """Return the bits of the properties that are there; most messages have the same."""
    if flags & _CONTINUED:
        raise ValueError("a header with properties that AMQP 0-9-1 does not have")
    return tuple(bit for bit in _ORDER if flags >> bit & 1)


def _table(data: bytes, position: int, end: int) -> dict[str, bytes | int]:
    """Return the texts and the whole numbers of a table, which is all that we write.

    All else is passed over, such as where a message has been that comes back from a delay.
    """
    found: dict[str, bytes | int] = {}
    while position < end:
        after_name = position + 1 + data[position]
        name = data[position + 1 : after_name].decode(errors="replace")
        kind, begin = data[after_name], after_name + 1
        if kind in _OF_SOME_LENGTH:
            octets = begin + _LENGTH.size
            position = octets + _LENGTH.unpack_from(data, begin)[0]
            if kind == _TEXT:
                found[name] = data[octets:position]
        elif kind in _NUMBERS:
            number = _NUMBERS[kind]
            (found[name],) = number.unpack_from(data, begin)
            position = begin + number.size
        elif kind in _UNUSED:
            position = begin + _UNUSED[kind]
        else:
            raise ValueError(f"a table with a value of the unknown type {kind}")
    return found


def ack(channel: int, number: int, *, multiple: bool = False) -> bytes:
    """Return the frame that acknowledges a delivery, or all up to it."""
    return _settled(channel, _BASIC_ACK, number, _MULTIPLE if multiple else 0)


def nack(channel: int, number: int) -> bytes:
    """Return the frame that gives a delivery back to its queue."""
    return _settled(channel, _BASIC_NACK, number, _REQUEUE)


def _settled(channel: int, method: tuple[int, int], number: int, bits: int) -> bytes:
    return _SETTLED.pack(METHOD, channel, _SETTLED.size - 8, *method, number, bits, END)
