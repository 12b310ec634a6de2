"""AMQP's frames as a consumer reads and writes them, with pamqp as the other reader and writer."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands as spec
from pamqp.common import FieldTable
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from conduit.bus import frames

PREFIX = frames.PREFIX.size

short = st.text(min_size=1, max_size=40)
numbers = st.integers(min_value=1, max_value=2**63 - 1)
channels = st.integers(min_value=1, max_value=2**16 - 1)
used = st.one_of(st.text(max_size=300), st.integers(-(2**63), 2**63 - 1), st.booleans())
unused = st.recursive(
    st.none()
    | st.floats(allow_nan=False, width=32)
    | st.decimals(-1000, 1000, places=2)
    | st.binary(max_size=10).map(bytearray)
    | st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    lambda within: (
        st.lists(used | within, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=5), used | within, max_size=3)
    ),
    max_leaves=5,
)
headers = st.dictionaries(st.text(min_size=1, max_size=20), used | unused, max_size=6)
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": short,
        "content_encoding": short,
        "headers": headers.filter(bool),
        "delivery_mode": st.sampled_from([1, 2]),
        "priority": st.integers(0, 9),
        "correlation_id": short,
        "reply_to": short,
        "expiration": short,
        "message_id": short,
        "timestamp": st.just(datetime(2026, 1, 1, tzinfo=UTC)),
        "message_type": short,
        "user_id": short,
        "app_id": short,
    },
)


@settings(deadline=None)
@given(given=properties, size=st.integers(0, 2**40))
def test_properties_are_read_whatever_stands_beside_them(given: dict[str, Any], size: int) -> None:
    header = ContentHeader(body_size=size, properties=spec.Basic.Properties(**given))
    read = frames.properties_of(marshal(header, 1), PREFIX)
    assert read.size == size
    assert read.headers == {
        name: value.encode() if isinstance(value, str) else value
        for name, value in given.get("headers", {}).items()
        if isinstance(value, str | int)
    }
    assert read.type == given.get("message_type")
    assert read.correlation_id == given.get("correlation_id")
    assert read.reply_to == given.get("reply_to")


@settings(deadline=None)
@given(tag=short, number=numbers, redelivered=st.booleans(), channel=channels)
def test_deliveries_are_read(tag: str, number: int, redelivered: bool, channel: int) -> None:
    data = marshal(spec.Basic.Deliver(tag, number, redelivered, "conduit", "deliveries"), channel)
    assert frames.PREFIX.unpack_from(data) == (frames.METHOD, channel, len(data) - PREFIX - 1)
    assert frames.deliver_of(data, PREFIX) == (tag.encode(), number, redelivered)


def test_other_methods_deliver_nothing() -> None:
    closing = marshal(spec.Channel.Close(200, "", 0, 0), 1)
    assert frames.deliver_of(closing, PREFIX) is None
    assert frames.method_id(closing, PREFIX) == frames.CHANNEL_CLOSE
    assert frames.method_id(marshal(spec.Channel.CloseOk(), 1), PREFIX) == frames.CHANNEL_CLOSE_OK


@settings(deadline=None)
@given(channel=channels, number=numbers, multiple=st.booleans())
def test_acknowledgements_are_as_pamqp_writes_them(
    channel: int, number: int, multiple: bool
) -> None:
    assert frames.ack(channel, number, multiple=multiple) == marshal(
        spec.Basic.Ack(number, multiple), channel
    )
    assert frames.nack(channel, number) == marshal(
        spec.Basic.Nack(number, multiple=False, requeue=True), channel
    )


def test_what_a_broker_adds_to_a_message_that_comes_back_is_passed_over() -> None:
    died: FieldTable = {"queue": "deliveries.delay.5", "count": 1, "routing-keys": ["a", "b"]}
    table: FieldTable = {"x-death": [died], "conduit-meta": "{}", "x-first-death-reason": "expired"}
    properties = spec.Basic.Properties(headers=table, message_type="mail.accepted")
    read = frames.properties_of(marshal(ContentHeader(properties=properties), 1), PREFIX)
    assert read.headers == {"conduit-meta": b"{}", "x-first-death-reason": b"expired"}
    assert read.type == "mail.accepted"


def test_octets_that_are_no_text_are_read_all_the_same() -> None:
    """Whoever put them there: a message must not end the connection that it comes on."""
    properties = spec.Basic.Properties(headers={"Grüße": "Grüße"}, message_type="Grüße")
    data = marshal(ContentHeader(properties=properties), 1).replace("ü".encode(), b"\xff\xfe")
    read = frames.properties_of(data, PREFIX)
    assert read.type == "Gr\ufffd\ufffdße"
    assert list(read.headers.values()) == ["Grüße".encode().replace("ü".encode(), b"\xff\xfe")]


def test_a_value_of_an_unknown_type_is_an_error() -> None:
    data = marshal(ContentHeader(properties=spec.Basic.Properties(headers={"n": "?"})), 1)
    with pytest.raises(ValueError, match="unknown type"):
        frames.properties_of(data.replace(b"\x01nS", b"\x01n!"), PREFIX)


def test_the_sign_of_life_is_a_heartbeat() -> None:
    assert unmarshal(frames.IDLE)[2].name == "Heartbeat"
