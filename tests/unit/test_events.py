"""Events: what is written is read again, by this version and by those before and after it."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from conduit.errors import UnknownEventVersion
from conduit.events import MailAccepted, Packet, decode, encode
from conduit.model.envelope import Envelope

EVENT = MailAccepted(
    delivery_id="dlv_1",
    message_id="msg_1",
    webhook_id="wh_1",
    envelope=Envelope("a@example.com", ("b@example.com",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    size=3,
    raw=b"\r\n\xff",
)
REPLAY = replace(EVENT.by_reference(), delivery_id="dlv_2", replay_of="dlv_1")

# As it was written when there were no replays.
OF_OLD = Packet(
    "mail.accepted",
    1,
    b'{"delivery_id":"dlv_1","message_id":"msg_1","webhook_id":"wh_1","envelope":{"mail_from":'
    b'"a@example.com","recipients":["b@example.com"],"helo":"mx.example.com","remote_ip":'
    b'"192.0.2.1","tls":null,"authenticated_as":null},"received_at":"2026-01-01T12:00:00+00:00",'
    b'"size":3,"attempt":1,"not_before":null,"paced":false,"stored":false}',
    b"\r\n\xff",
)
FIELDS_OF_OLD = set(orjson.loads(OF_OLD.meta))


@pytest.mark.parametrize("event", [EVENT, REPLAY, REPLAY.next_attempt(EVENT.received_at)])
def test_an_event_is_read_as_it_was_written(event: MailAccepted) -> None:
    assert decode(encode(event)) == event


def test_a_replay_stays_one_over_its_attempts() -> None:
    later = REPLAY.postponed(EVENT.received_at, paced=True).next_attempt(EVENT.received_at)
    assert later.replay_of == "dlv_1"


def test_an_event_of_an_older_version_is_read() -> None:
    assert decode(OF_OLD) == EVENT


@pytest.mark.parametrize("event", [EVENT, REPLAY])
def test_an_older_version_reads_ours(event: MailAccepted) -> None:
    """It finds all fields that it knows, passes over the others, and takes the version."""
    packet = encode(event)
    meta = orjson.loads(packet.meta)
    assert packet.version == OF_OLD.version
    assert set(meta) >= FIELDS_OF_OLD
    known = {name: value for name, value in meta.items() if name in FIELDS_OF_OLD}
    read = decode(replace(packet, meta=orjson.dumps(known)))
    assert read == replace(event, replay_of=None)


def test_fields_of_a_newer_version_are_passed_over() -> None:
    packet = encode(EVENT)
    meta = orjson.loads(packet.meta) | {"colour": "blue"}
    meta["envelope"]["shade"] = "dark"
    assert decode(replace(packet, meta=orjson.dumps(meta))) == EVENT


def test_a_newer_version_is_left_to_a_newer_replica() -> None:
    with pytest.raises(UnknownEventVersion):
        decode(replace(encode(EVENT), version=2))
