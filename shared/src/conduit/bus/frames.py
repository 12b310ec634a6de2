"""AMQP 0-9-1's frames, as far as a consumer meets them for each message (section 4.2.3 ff.).

pamqp reads any frame by going through lists of attributes and types; three of them for each
message take more time than all else that a consumer does with it. What is seldom is left to it.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pamqp import decode
from pamqp.common import FieldTable

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
_TAG = Struct(">QB")
_SIZE_AND_FLAGS = Struct(">HHQH")
_SETTLED = Struct(">BHIHHQBB")

# Bits of the flags of the properties, in the order in which these stand (section 4.2.6.1).
_HEADERS, _DELIVERY_MODE, _PRIORITY, _TIMESTAMP = 13, 12, 11, 6
_CORRELATION_ID, _REPLY_TO, _TYPE = 10, 9, 5
_CONTINUED: Final = 1


@dataclass(frozen=True, slots=True)
class Properties:
    """What stands beside a body, of what we use."""

    size: int
    headers: FieldTable
    type: str | None
    correlation_id: str | None
    reply_to: str | None


def method_id(data: bytes, start: int) -> tuple[int, int]:
    """Return class and method of the METHOD whose payload begins at `start`."""
    return _METHOD_ID.unpack_from(data, start)


def consumer_of(data: bytes, start: int) -> bytes | None:
    """Return the tag of the consumer that a method delivers to, None when it delivers nothing."""
    if _METHOD_ID.unpack_from(data, start) != _BASIC_DELIVER:
        return None
    return data[start + 5 : start + 5 + data[start + 4]]


def delivery_of(data: bytes, start: int) -> tuple[int, bool]:
    """Return the number of a delivery on its channel, and whether it was delivered before."""
    number, redelivered = _TAG.unpack_from(data, start + 5 + data[start + 4])
    return number, bool(redelivered & 1)


def properties_of(data: bytes, start: int) -> Properties:
    """Read the HEADER whose payload begins at `start`; raise ValueError when it is damaged."""
    _, _, size, flags = _SIZE_AND_FLAGS.unpack_from(data, start)
    if flags & _CONTINUED:
        raise ValueError("a header with properties that AMQP 0-9-1 does not have")
    headers: FieldTable = {}
    texts: dict[int, str] = {}
    position = start + _SIZE_AND_FLAGS.size
    for bit in _BITS:
        if not flags >> bit & 1:
            continue
        if bit == _HEADERS:
            length = 4 + int.from_bytes(data[position : position + 4])
            _, headers = decode.field_table(data[position : position + length])
        elif bit in _OCTETS:
            length = _OCTETS[bit]
        else:
            length = 1 + data[position]
            texts[bit] = data[position + 1 : position + length].decode()
        position += length
    return Properties(
        size, headers, texts.get(_TYPE), texts.get(_CORRELATION_ID), texts.get(_REPLY_TO)
    )


_BITS = tuple(range(15, 1, -1))
_OCTETS = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}


def ack(channel: int, number: int, *, multiple: bool = False) -> bytes:
    """Return the frame that acknowledges a delivery, or all up to it."""
    return _settled(channel, _BASIC_ACK, number, _MULTIPLE if multiple else 0)


def nack(channel: int, number: int) -> bytes:
    """Return the frame that gives a delivery back to its queue."""
    return _settled(channel, _BASIC_NACK, number, _REQUEUE)


def _settled(channel: int, method: tuple[int, int], number: int, bits: int) -> bytes:
    return _SETTLED.pack(METHOD, channel, _SETTLED.size - 8, *method, number, bits, END)
