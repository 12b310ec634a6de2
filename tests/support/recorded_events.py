"""Packets as they lay on the queue, in the bytes of the version of Conduit that wrote them.

`tests/data/events` has one file for each form that an event ever had. They stay: mail waits on the
queues for days, and one version may run beside the next.

    python -m tests.support.recorded_events

Writes a file for each specimen below that has none yet. When the form of an event has changed, give
its specimen a new name here, move the old name to `OLDER`, and run this.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from conduit.events import (
    DeliveryAnswered,
    DeliveryAsked,
    DeliveryOutcome,
    DomainChecked,
    DomainCheckRequested,
    Event,
    MailAccepted,
    Packet,
    SimulationDone,
    SimulationRequested,
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

DIRECTORY = Path(__file__).parents[1] / "data" / "events"

_AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_RAW = "Subject: Grüße\r\n\r\n".encode() + b"\x00\xff.\r\n"

MAIL = MailAccepted(
    delivery_id="dlv_1",
    message_id="msg_1",
    webhook_id="wh_1",
    envelope=Envelope(
        mail_from="ann@example.com",
        recipients=("webhook-1+2026@incoming.example", "b@example.org"),
        helo="mx.example.com",
        remote_ip="203.0.113.9",
        tls="TLSv1.3",
        authenticated_as="ann",
        tag="2026",
    ),
    received_at=_AT,
    size=len(_RAW),
    raw=_RAW,
    attempt=3,
    not_before=_AT + timedelta(seconds=70),
    paced=True,
    repaced=True,
    parked=True,
    recorded=True,
    replay_of="dlv_0",
    shared=False,
    authentication=AuthResults(
        Spf(
            SpfStatus.SOFTFAIL,
            SpfScope.MAIL_FROM,
            "example.com",
            problem="203.0.113.9 is not designated",
        ),
        (Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),),
        Dmarc(DmarcStatus.PASS, "example.com", "reject"),
        Arc(ArcStatus.NONE),
    ),
)
_WITHOUT_PARKING = replace(MAIL, repaced=False, parked=False, recorded=False)
_WITHOUT_RESULTS = replace(_WITHOUT_PARKING, authentication=None)
_WITHOUT_REPLAYS = replace(_WITHOUT_RESULTS, replay_of=None, shared=True)

SPECIMENS: Mapping[str, Event] = {
    "delivery.answered-v1": DeliveryAnswered(
        "dlv_1", DeliveryOutcome.PERMANENT, 554, "No such customer"
    ),
    "delivery.asked-v1-2-parked": DeliveryAsked(MAIL, 19.5),
    "domain.check_requested-v1": DomainCheckRequested("dom_1"),
    "domain.checked-v1": DomainChecked("dom_1", "no TXT record", taken=True),
    "mail.accepted-v1-4-parked": MAIL,
    "mail.accepted-v1-4-parked-stored": MAIL.by_reference(),
    "simulation.done-v1": SimulationDone("wh_1", 502, "bad gateway", 12),
    "simulation.requested-v1": SimulationRequested(
        "wh_1", "ann@example.com", "Grüße", "Hello", 10.0
    ),
}
"""What the newest files have, by their names: the forms of today."""


def without_tag(mail: MailAccepted) -> MailAccepted:
    """Return the mail as it was read before addresses had tags."""
    return replace(mail, envelope=replace(mail.envelope, tag=None))


OLDER: Mapping[str, Event] = {
    "delivery.asked-v1-1-first": DeliveryAsked(_WITHOUT_PARKING, 19.5),
    "mail.accepted-v1-1-first": without_tag(_WITHOUT_REPLAYS),
    "mail.accepted-v1-1-first-stored": without_tag(_WITHOUT_REPLAYS).by_reference(),
    "mail.accepted-v1-2-replays": without_tag(_WITHOUT_RESULTS),
    "mail.accepted-v1-2-replays-stored": without_tag(_WITHOUT_RESULTS).by_reference(),
    "mail.accepted-v1-3-authenticated": _WITHOUT_PARKING,
    "mail.accepted-v1-3-authenticated-stored": _WITHOUT_PARKING.by_reference(),
}
"""What older files are read as: fields that were not there have their defaults."""


def recorded(name: str) -> Packet:
    """Return a packet as it was written then."""
    found = orjson.loads((DIRECTORY / f"{name}.json").read_bytes())
    return Packet(found["kind"], found["version"], found["meta"].encode(), b64decode(found["body"]))


def text(packet: Packet) -> str:
    """Return what the file of a packet has."""
    values = {
        "kind": packet.kind,
        "version": packet.version,
        "meta": packet.meta.decode(),
        "body": b64encode(packet.body).decode(),
    }
    return orjson.dumps(values, option=orjson.OPT_INDENT_2).decode() + "\n"


def main() -> None:
    """Write the recordings that are missing; those that are there stay as they are."""
    for name, event in SPECIMENS.items():
        file = DIRECTORY / f"{name}.json"
        if not file.exists():
            file.write_text(text(encode(event)))
            print(file)


if __name__ == "__main__":
    main()
