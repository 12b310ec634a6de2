"""The codec of what travels on the bus."""

from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import MalformedEvent, UnknownEventVersion
from conduit.events import (
    DeliveryAnswered,
    DeliveryAsked,
    DeliveryOutcome,
    DomainChecked,
    DomainCheckRequested,
    Event,
    MailAccepted,
    Packet,
    decode,
    encode,
)
from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.envelope import Envelope

NOW = datetime(2028, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
MAIL = MailAccepted(
    delivery_id="dlv_1",
    message_id="msg_1",
    webhook_id="wh_1",
    envelope=Envelope("a@x", ("b@y", "c@y"), "mx.example", "192.0.2.1", "TLSv1.3"),
    received_at=NOW,
    size=5,
    raw=b"\x00\xff\r\n.",
)
EVENTS: list[Event] = [
    MAIL,
    DomainCheckRequested("dom_1"),
    DomainChecked("dom_1", "no record", taken=True),
    DeliveryAsked(MAIL, 19.5),
    DeliveryAnswered("dlv_1", DeliveryOutcome.PERMANENT, 554, "No such customer"),
]

text = st.text(st.characters(codec="utf-8"), max_size=30)
moments = st.datetimes(timezones=st.just(UTC))
envelopes = st.builds(
    Envelope,
    mail_from=text,
    recipients=st.lists(text, max_size=3).map(tuple),
    helo=text,
    remote_ip=text,
    tls=st.none() | text,
    authenticated_as=st.none() | text,
    tag=st.none() | text,
)
problems = st.none() | text
authentications = st.builds(
    AuthResults,
    spf=st.builds(
        Spf, st.sampled_from(SpfStatus), st.sampled_from(SpfScope), text, problem=problems
    ),
    dkim=st.lists(
        st.builds(Dkim, st.sampled_from(DkimStatus), text, text, text, problem=problems),
        max_size=3,
    ).map(tuple),
    dmarc=st.builds(
        Dmarc, st.sampled_from(DmarcStatus), text, policy=st.none() | text, problem=problems
    ),
    arc=st.builds(Arc, st.sampled_from(ArcStatus), text, st.integers(0, 50), problem=problems),
)
mails = st.builds(
    MailAccepted,
    delivery_id=text,
    message_id=text,
    webhook_id=text,
    envelope=envelopes,
    received_at=moments,
    size=st.integers(0, 2**40),
    raw=st.none() | st.binary(max_size=100),
    attempt=st.integers(1, 100),
    not_before=st.none() | moments,
    paced=st.booleans(),
    parked=st.booleans(),
    recorded=st.booleans(),
    repaced=st.booleans(),
    authentication=st.none() | authentications,
)
events = (
    mails
    | st.builds(DomainCheckRequested, domain_id=text)
    | st.builds(DomainChecked, domain_id=text, problem=st.none() | text, taken=st.booleans())
    | st.builds(DeliveryAsked, mail=mails, within=st.floats(0, 10**6))
    | st.builds(
        DeliveryAnswered,
        delivery_id=text,
        outcome=st.sampled_from(DeliveryOutcome),
        code=st.none() | st.integers(200, 599),
        message=st.none() | text,
    )
)


@given(events)
def test_what_is_encoded_is_decoded(event: Event) -> None:
    assert decode(encode(event)) == event


def test_a_mail_is_not_encoded_and_lies_beside_its_data() -> None:
    packet = encode(MAIL)
    assert (packet.kind, packet.version, packet.body) == ("mail.accepted", 1, MAIL.raw)
    assert "raw" not in orjson.loads(packet.meta)


def test_a_mail_that_is_asked_about_is_not_encoded_either() -> None:
    packet = encode(DeliveryAsked(MAIL, 1))
    assert packet.body == MAIL.raw
    assert orjson.loads(packet.meta)["mail"] == orjson.loads(encode(MAIL).meta)


def test_an_empty_mail_is_not_taken_for_one_that_is_kept_in_the_store() -> None:
    empty = replace(MAIL, raw=b"", size=0)
    assert decode(encode(empty)) == empty
    kept = decode(encode(MAIL.by_reference()))
    assert isinstance(kept, MailAccepted)
    assert kept.raw is None


def changed(packet: Packet, **values: Any) -> Packet:
    """Return the packet as another Conduit might have written it."""
    return replace(packet, meta=orjson.dumps(orjson.loads(packet.meta) | values))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.KIND)
def test_unknown_fields_are_ignored(event: Event) -> None:
    assert decode(changed(encode(event), added_later={"x": [1]}, raw="?", KIND="?")) == event


def test_unknown_fields_of_the_envelope_are_ignored() -> None:
    packet = encode(MAIL)
    envelope = orjson.loads(packet.meta)["envelope"] | {"added_later": 1}
    assert decode(changed(packet, envelope=envelope)) == MAIL


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)

AUTHENTICATED = replace(
    MAIL,
    authentication=AuthResults(
        Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com"),
        (Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),),
        Dmarc(DmarcStatus.PASS, "example.com", "reject"),
        Arc(ArcStatus.NONE),
    ),
)


def with_results(**values: Any) -> Packet:
    """Return the event with other results, as another Conduit might have written them."""
    packet = encode(AUTHENTICATED)
    results = orjson.loads(packet.meta)["authentication"]
    return changed(packet, authentication=results | values)


@pytest.mark.parametrize("part", ["spf", "dmarc", "arc"])
def test_unknown_fields_of_results_are_ignored(part: str) -> None:
    found = orjson.loads(encode(AUTHENTICATED).meta)["authentication"][part]
    packet = with_results(**{part: found | {"added_later": 1}}, bimi={"status": "pass"})
    assert decode(packet) == AUTHENTICATED


def test_unknown_fields_of_a_signature_are_ignored() -> None:
    [found] = orjson.loads(encode(AUTHENTICATED).meta)["authentication"]["dkim"]
    assert decode(with_results(dkim=[found | {"added_later": 1}])) == AUTHENTICATED


@pytest.mark.parametrize(
    "values",
    [
        {"spf": {"status": "maybe", "scope": "mailfrom", "domain": "example.com"}},
        {"spf": {"status": "pass", "scope": "pra", "domain": "example.com"}},
        {"spf": {"status": "pass", "scope": "mailfrom"}},
        {"dkim": [{"status": "none", "domain": "", "selector": "", "algorithm": ""}]},
        {"dkim": [{}]},
        {"dkim": None},
        {"dmarc": {"status": "softfail", "domain": "example.com"}},
        {"arc": {"status": "unknown"}},
        {"arc": "pass"},
    ],
)
def test_results_that_are_none_are_malformed(values: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        decode(with_results(**values))


def test_an_event_without_results_has_none() -> None:
    packet = encode(AUTHENTICATED)
    meta = orjson.loads(packet.meta)
    del meta["authentication"], meta["envelope"]["tag"]
    assert decode(replace(packet, meta=orjson.dumps(meta))) == MAIL


@given(st.dictionaries(st.sampled_from(["spf", "dkim", "dmarc", "arc"]), json))
def test_no_results_raise_anything_else(values: dict[str, Any]) -> None:
    with suppress(MalformedEvent):
        decode(with_results(**values))


def test_fields_with_a_default_may_be_missing() -> None:
    packet = encode(MAIL)
    meta = orjson.loads(packet.meta)
    for name in ("attempt", "not_before", "paced", "parked", "recorded"):
        del meta[name]
    assert decode(replace(packet, meta=orjson.dumps(meta))) == MAIL


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.KIND)
def test_a_newer_version_is_left_to_a_newer_conduit(event: Event) -> None:
    packet = encode(event)
    with pytest.raises(UnknownEventVersion):
        decode(replace(packet, version=packet.version + 1, meta=b"in another form"))


@pytest.mark.parametrize(
    "packet",
    [
        Packet("", 1, b"{}"),
        Packet("mail.unknown", 1, b"{}"),
        Packet("mail.accepted", 1, b""),
        Packet("mail.accepted", 1, b"{"),
        Packet("mail.accepted", 1, b"null"),
        Packet("mail.accepted", 1, b"[]"),
        Packet("mail.accepted", 1, b"1"),
        Packet("mail.accepted", 1, b'"text"'),
        Packet("mail.accepted", 1, b"{}"),
        Packet("mail.accepted", 1, b"[" * 10_000),
        Packet("mail.accepted", 1, b"\xff"),
        changed(encode(MAIL), envelope=None),
        changed(encode(MAIL), envelope=[]),
        changed(encode(MAIL), envelope="x"),
        changed(encode(MAIL), envelope={}),
        changed(encode(MAIL), received_at="yesterday"),
        changed(encode(MAIL), received_at=0),
        changed(encode(MAIL), not_before=[]),
        changed(encode(MAIL), size="5"),
        changed(encode(MAIL), paced=1),
        changed(encode(MAIL), webhook_id=None),
        changed(encode(MAIL), envelope=orjson.loads(encode(MAIL).meta)["envelope"] | {"helo": 1}),
        Packet("domain.checked", 1, b"{}"),
        Packet("delivery.asked", 1, b'{"within":1}'),
        changed(encode(DeliveryAsked(MAIL, 1)), mail=None),
        changed(encode(DeliveryAsked(MAIL, 1)), mail="mail"),
        changed(encode(DeliveryAsked(MAIL, 1)), within="soon"),
        changed(encode(DeliveryAsked(MAIL, 1)), within=None),
        changed(encode(EVENTS[-1]), outcome="maybe"),
        Packet("domain.check_requested", 1, b"[1]"),
    ],
)
def test_a_damaged_packet_is_malformed(packet: Packet) -> None:
    with pytest.raises(MalformedEvent):
        decode(packet)


NAMES = sorted(
    {
        field.name
        for kind in (MailAccepted, DomainChecked, DeliveryAsked, DeliveryAnswered)
        for field in fields(kind)
    }
    | {"stored"}
)


@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(NAMES), json))
def test_no_meta_raises_anything_else(event: Event, values: dict[str, Any]) -> None:
    with suppress(MalformedEvent):
        decode(changed(encode(event), **values))


@given(json)
def test_no_envelope_raises_anything_else(envelope: object) -> None:
    with suppress(MalformedEvent):
        decode(changed(encode(MAIL), envelope=envelope))


def test_seconds_may_be_written_as_a_whole_number() -> None:
    read = decode(changed(encode(DeliveryAsked(MAIL, 19.5)), within=19))
    assert isinstance(read, DeliveryAsked)
    assert (read.within, type(read.within)) == (19.0, float)


def test_the_steps_of_a_mail() -> None:
    later = NOW + timedelta(seconds=10)
    assert MAIL.due_in(NOW) == timedelta(0)
    paced = MAIL.postponed(later, paced=True)
    assert (paced.attempt, paced.paced, paced.due_in(NOW)) == (1, True, timedelta(seconds=10))
    parked = paced.postponed(later, parked=True)
    assert (parked.attempt, parked.paced, parked.parked) == (1, False, True)
    assert not parked.next_attempt(later).parked
    following = paced.next_attempt(later)
    assert (following.attempt, following.paced, following.not_before) == (2, False, later)
    assert following.delivery_id == MAIL.delivery_id


def test_what_a_dispatcher_has_put_off_or_tried_is_on_record() -> None:
    assert not MAIL.on_record
    assert not MAIL.postponed(NOW).on_record
    assert MAIL.postponed(NOW, paced=True).on_record
    assert not MAIL.postponed(NOW, parked=True).on_record
    assert MAIL.postponed(NOW, parked=True, recorded=True).on_record
    assert MAIL.next_attempt(NOW).on_record


def test_a_slot_that_was_missed_is_given_out_once_more() -> None:
    slot = NOW + timedelta(seconds=10)
    paced = MAIL.postponed(NOW, paced=True)
    assert paced.late_by(slot) == timedelta(seconds=10)
    assert not paced.repaced
    again = paced.postponed(slot, paced=True)
    assert (again.paced, again.repaced, again.not_before) == (True, True, slot)
    assert not again.postponed(slot).repaced
    assert not again.next_attempt(slot).repaced
    assert MAIL.late_by(NOW) == timedelta(0)
