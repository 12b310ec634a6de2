"""AMQP 0-9-1's frames, as far as a consumer meets them for each message (section 4.2.3 ff.).

pamqp reads any frame by going through lists of attributes and types; three of them for each
message take more time than all else that a consumer does with it.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
END: Final = 0xCE
_END = bytes([END])

PREFIX = Struct(">BHI")
"""Kind, channel and size: what each frame begins with. After the payload comes END."""

IDLE = b"\x08\x00\x00\x00\x00\x00\x00\xce"
"""A whole frame of kind HEARTBEAT."""

CHANNEL_CLOSE: Final = (20, 40)
CHANNEL_CLOSE_OK: Final = (20, 41)
CONFIRM_SELECT_OK: Final = (85, 11)
BASIC_ACK: Final = (60, 80)
BASIC_NACK: Final = (60, 120)
BASIC_RETURN: Final = (60, 50)
_BASIC_DELIVER: Final = (60, 60)
_BASIC_PUBLISH: Final = (60, 40)
_BASIC: Final = 60
_MULTIPLE: Final = 1
_REQUEUE: Final = 2

_METHOD_ID = Struct(">HH")
_METHOD_AND_LENGTH = Struct(">HHB")
_NUMBER_AND_BITS = Struct(">QB")
_SIZE_AND_FLAGS = Struct(">HHQH")
_SETTLED = Struct(">BHIHHQBB")

# Bits of the flags of the properties, in the order in which these stand (section 4.2.6.1).
_HEADERS, _DELIVERY_MODE, _PRIORITY, _TIMESTAMP = 13, 12, 11, 6
_CORRELATION_ID, _REPLY_TO, _MESSAGE_ID, _TYPE = 10, 9, 7, 5
_CONTINUED: Final = 1

_ORDER = range(15, 1, -1)
_OCTETS = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}
_USED = frozenset({_CORRELATION_ID, _REPLY_TO, _MESSAGE_ID, _TYPE})
_PERSISTENT = b"\x02"

# What stands in a table, by its type: section 4.2.5.5, with RabbitMQ's errata.
_LENGTH = Struct(">I")
_NUMBER = Struct(">Bq")
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
    message_id: str | None


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


def confirm_of(data: bytes, start: int) -> tuple[int, bool]:
    """Return the number that a BASIC_ACK or BASIC_NACK says, and whether it means all up to it."""
    number, bits = _NUMBER_AND_BITS.unpack_from(data, start + _METHOD_ID.size)
    return number, bits & _MULTIPLE == _MULTIPLE


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
        size,
        headers,
        texts.get(_TYPE),
        texts.get(_CORRELATION_ID),
        texts.get(_REPLY_TO),
        texts.get(_MESSAGE_ID),
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
    return _settled(channel, BASIC_ACK, number, _MULTIPLE if multiple else 0)


def nack(channel: int, number: int) -> bytes:
    """Return the frame that gives a delivery back to its queue."""
    return _settled(channel, BASIC_NACK, number, _REQUEUE)


def _settled(channel: int, method: tuple[int, int], number: int, bits: int) -> bytes:
    return _SETTLED.pack(METHOD, channel, _SETTLED.size - 8, *method, number, bits, END)


@lru_cache(maxsize=1024)
def publish(channel: int, exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """Return the METHOD that publishes, which mails to one queue share."""
    method = _METHOD_ID.pack(*_BASIC_PUBLISH)
    return b"".join(
        _framed(
            METHOD,
            channel,
            method + b"\0\0" + _short(exchange) + _short(routing_key) + bytes([mandatory]),
        )
    )


def header(
    channel: int,
    size: int,
    headers: Mapping[str, bytes | int],
    *,
    type_: str,
    message_id: str,
    correlation_id: str | None = None,
) -> bytes:
    """Return the HEADER of a persistent message with a body of so many octets."""
    table = b"".join(_written(headers))
    flags = 1 << _HEADERS | 1 << _DELIVERY_MODE | 1 << _MESSAGE_ID | 1 << _TYPE
    parts = [_LENGTH.pack(len(table)), table, _PERSISTENT]
    if correlation_id is not None:
        flags |= 1 << _CORRELATION_ID
        parts.append(_short(correlation_id))
    parts += _short(message_id), _short(type_)
    start = _SIZE_AND_FLAGS.pack(_BASIC, 0, size, flags)
    return b"".join(_framed(HEADER, channel, start + b"".join(parts)))


def body(channel: int, octets: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a BODY in parts, so that a mail is not copied once more."""
    return _framed(BODY, channel, octets)


def _framed(kind: int, channel: int, payload: bytes) -> tuple[bytes, bytes, bytes]:
    return PREFIX.pack(kind, channel, len(payload)), payload, _END


def _written(table: Mapping[str, bytes | int]) -> Iterator[bytes]:
    for name, value in table.items():
        yield _short(name)
        if isinstance(value, bytes):
            yield b"S" + _LENGTH.pack(len(value))
            yield value
        elif isinstance(value, bool):
            yield b"t\1" if value else b"t\0"
        else:
            yield _NUMBER.pack(ord("l"), value)


def _short(text: str) -> bytes:
    octets = text.encode()
    return bytes([len(octets)]) + octets
