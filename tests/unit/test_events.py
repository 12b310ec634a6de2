"""Events: what is written is read again, by this version and by those before and after it."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime
from typing import Any, get_args

import orjson
import pytest

from conduit.errors import MalformedEvent, UnknownEventVersion
from conduit.events import Event, MailAccepted, Packet, decode, encode
from conduit.model.envelope import Envelope
from tests.support.recorded_events import DIRECTORY, OLDER, SPECIMENS, recorded

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


@pytest.mark.parametrize("name", sorted({**SPECIMENS, **OLDER}))
def test_what_older_versions_wrote_is_read(name: str) -> None:
    assert decode(recorded(name)) == {**SPECIMENS, **OLDER}[name]


def test_every_recording_is_read_by_a_test() -> None:
    files = {file.stem for file in DIRECTORY.iterdir()}
    assert files == SPECIMENS.keys() | OLDER.keys()


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_what_is_written_today_is_recorded(name: str) -> None:
    """When this fails the form has changed: see `tests.support.recorded_events`."""
    packet, then = encode(SPECIMENS[name]), recorded(name)
    assert (packet.kind, packet.version, packet.body) == (then.kind, then.version, then.body)
    assert orjson.loads(packet.meta) == orjson.loads(then.meta)


def test_every_kind_and_version_is_recorded() -> None:
    packets = [recorded(file.stem) for file in DIRECTORY.iterdir()]
    written = {
        (kind.KIND, version) for kind in get_args(Event) for version in range(1, kind.VERSION + 1)
    }
    assert {(packet.kind, packet.version) for packet in packets} == written


@pytest.mark.parametrize("name", sorted(SPECIMENS))
def test_no_specimen_has_a_default_where_it_could_have_a_value(name: str) -> None:
    """Else a field could get lost on the way, and no recording would tell."""
    event = SPECIMENS[name]
    left = {
        field.name
        for field in fields(event)
        if field.default is not MISSING and getattr(event, field.name) == field.default
    }
    assert left == set()


def places(meta: Any, *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each value, those within others too."""
    for key, value in meta.items() if isinstance(meta, dict) else enumerate(meta):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, *above, key)


@pytest.mark.parametrize("name", sorted({**SPECIMENS, **OLDER}))
def test_a_value_of_a_wrong_type_is_malformed_wherever_it_stands(name: str) -> None:
    packet = recorded(name)
    for *above, last in places(orjson.loads(packet.meta)):
        if last == "stored":  # taken as true or false, whatever it is
            continue
        holder = meta = orjson.loads(packet.meta)
        for key in above:
            holder = holder[key]
        holder[last] = [{"private": 1}]
        with pytest.raises(MalformedEvent) as raised:
            decode(replace(packet, meta=orjson.dumps(meta)))
        assert "private" not in str(raised.value)
