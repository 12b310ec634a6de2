"""Deliveries: lists with filters, the timeline, and the mail itself."""

from datetime import timedelta
from typing import Any

import pytest

from conduit.model.delivery import DeliveryState
from conduit.model.record import utc_now
from conduit_api.resources.deliveries import LONGEST_TEXT
from tests.integration.api.client import User
from tests.integration.api.mail import AUTHENTICATION, RAW, Mail
from tests.integration.api.test_logs import links

NOWHERE = "dlv_01arz3ndektsv4rrffq69g5fav"
HTML = (
    b"Subject: both\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--m\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n"
    b"--m\r\nContent-Type: image/png; name=a.png\r\nContent-Disposition: attachment\r\n\r\nxyz\r\n"
    b"--m--\r\n"
)


def timestamp(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


async def test_a_delivery_is_told(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], DeliveryState.DELIVERED)
    [listed] = (await resident.client.get(f"/webhooks/{webhook['id']}/deliveries")).expect(200)
    assert listed == {
        "id": delivery.id,
        "webhook_id": webhook["id"],
        "state": "delivered",
        "smtp_message_id": "<1@example.com>",
        "sender": "ann@example.com",
        "recipients": ["alerts@example.org"],
        "subject": "Hello",
        "size": len(RAW),
        "attempts": 1,
        "received_at": timestamp(delivery.received_at),
        "updated_at": timestamp(delivery.updated_at),
    }


async def test_a_delivery_tells_who_its_mail_is_from(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], tag="2026", authentication=AUTHENTICATION)
    path = f"/webhooks/{webhook['id']}/deliveries"
    [listed] = (await resident.client.get(path)).expect(200)
    found = (await resident.client.get(f"{path}/{delivery.id}")).expect(200)
    assert listed["tag"] == found["tag"] == "2026"
    assert listed["authentication"] == found["authentication"]
    assert found["authentication"] == {
        "spf": {
            "result": "softfail",
            "scope": "mailfrom",
            "domain": "example.com",
            "reason": "not from there, probably",
        },
        "dkim": [
            {
                "result": "pass",
                "domain": "example.com",
                "selector": "s1",
                "algorithm": "rsa-sha256",
            }
        ],
        "dmarc": {"result": "pass", "domain": "example.com", "policy": "reject"},
        "arc": {"result": "none", "instances": 0},
    }


async def test_a_delivery_has_a_timeline(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    next_at = utc_now() + timedelta(minutes=5)
    delivery, attempts = await mail.handled(
        webhook["id"], DeliveryState.PENDING, attempts=2, next_attempt_at=next_at
    )
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}"
    found = (await resident.client.get(path)).expect(200)
    assert found["message_kept"] is True
    assert found["next_attempt_at"] == timestamp(next_at)
    received, first, second, following = found["timeline"]
    assert received == {"event": "received", "at": timestamp(delivery.received_at)}
    assert first == {
        "event": "attempt",
        "at": timestamp(attempts[0].attempted_at),
        "log_id": attempts[0].id,
        "attempt": 1,
        "status": "transient",
        "http_status": 500,
        "error": "the endpoint answered 500",
        "duration_ms": 12,
    }
    assert (second["attempt"], second["log_id"]) == (2, attempts[1].id)
    assert following == {"event": "next_attempt", "at": timestamp(next_at)}


async def test_deliveries_are_filtered(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivered, _ = await mail.handled(webhook["id"], DeliveryState.DELIVERED, minutes_ago=30)
    failed, _ = await mail.handled(webhook["id"], minutes_ago=20, sender="")
    pending, _ = await mail.handled(
        webhook["id"], DeliveryState.PENDING, minutes_ago=10, smtp_message_id="<2@example.com>"
    )

    async def found(**filters: str) -> list[str]:
        path = f"/webhooks/{webhook['id']}/deliveries"
        reply = await resident.client.get(path, params=filters)
        assert reply.headers["X-Total-Count"] == str(len(reply.expect(200)))
        return [delivery["id"] for delivery in reply.json]

    assert await found() == [pending.id, failed.id, delivered.id]
    assert await found(state="failed") == [failed.id]
    assert await found(sender="") == [failed.id]
    assert await found(message_id="2@example.com") == [pending.id]
    assert await found(message_id="<2@example.com>") == [pending.id]
    moment = failed.received_at.isoformat()
    assert await found(**{"from": moment}) == [pending.id, failed.id]
    assert await found(to=moment) == [delivered.id]
    assert await found(state="delivered", **{"from": moment}) == []


async def test_pages_keep_the_filters(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    for minute in range(3):
        await mail.handled(webhook["id"], minutes_ago=minute, sender="a+b@example.com")
    path = f"/webhooks/{webhook['id']}/deliveries"
    filters = {"sender": "a+b@example.com", "state": "failed", "page_size": "2", "utm": "x"}
    reply = await resident.client.get(path, params=filters)
    assert len(reply.expect(200)) == 2
    root = resident.client.base.removesuffix("/api/v1")
    following = links(reply.headers)["next"]
    assert "utm" not in following
    rest = await resident.client.get(root + following)
    assert len(rest.expect(200)) == 1
    assert "a%2Bb%40example.com" in following


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "from=yesterday",
        "from=2026-01-01",
        "to=2026-01-01T00:00:00",
        "to=2026-02-30T00:00:00Z",
        "from=0001-01-01T00:00:00%2B02:00",
        "page=0",
        "page_size=101",
    ],
)
async def test_wrong_filters_are_refused(resident: User, query: str) -> None:
    webhook = await resident.new_webhook()
    reply = await resident.client.get(f"/webhooks/{webhook['id']}/deliveries?{query}")
    assert reply.failure == (422, "validation_error")


async def test_times_at_the_ends_of_the_calendar_are_taken(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    await mail.handled(webhook["id"])
    ends = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}
    reply = await resident.client.get(f"/webhooks/{webhook['id']}/deliveries", params=ends)
    assert len(reply.expect(200)) == 1


async def test_a_mail_is_shown(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"])
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}/message"
    assert (await resident.client.get(path)).expect(200) == {
        "delivery_id": delivery.id,
        "size": len(RAW),
        "received_at": timestamp(delivery.received_at),
        "smtp_message_id": "<1@example.com>",
        "subject": "Hello",
        "header_from": {"name": "Ann", "address": "ann@example.com"},
        "header_to": [{"name": "", "address": "alerts@example.org"}],
        "cc": [],
        "reply_to": [],
        "headers": {"X-Team": ["ops"]},
        "text": "It works.\n",
        "text_truncated": False,
        "html_truncated": False,
        "attachments": [],
        "notes": [],
    }


async def test_html_and_attachments_are_shown_without_harm(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], raw=HTML)
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}/message"
    reply = await resident.client.get(path)
    shown = reply.expect(200)
    assert reply.headers["Content-Type"].startswith("application/json")
    assert "<script>" in shown["html"]
    [attachment] = shown["attachments"]
    assert attachment == {
        "filename": "a.png",
        "content_type": "image/png",
        "inline": False,
        "size": 3,
    }


async def test_long_text_is_cut_but_downloaded_in_full(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    raw = b"Subject: long\r\n\r\n" + b"x" * 70 * 100 + b"\r\n" * (LONGEST_TEXT + 10) + b"end"
    delivery, _ = await mail.handled(webhook["id"], raw=raw)
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}/message"
    shown = (await resident.client.get(path)).expect(200)
    assert len(shown["text"]) == LONGEST_TEXT
    assert shown["text_truncated"] is True
    assert (await resident.client.get(f"{path}/raw")).octets == raw


async def test_a_mail_is_downloaded_octet_for_octet(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    raw = b"Subject: \xff\x00\r\n\r\n\x80<script>\r\n"
    delivery, _ = await mail.handled(webhook["id"], raw=raw)
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}/message/raw"
    reply = await resident.client.get(path)
    assert (reply.status, reply.octets) == (200, raw)
    assert reply.headers["Content-Type"] == "message/rfc822"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="{delivery.id}.eml"'
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    head = await resident.client.send("HEAD", path)
    assert (head.status, head.octets) == (200, b"")


async def test_a_mail_that_is_not_kept_any_more_is_not_found(resident: User, mail: Mail) -> None:
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], raw=None)
    path = f"/webhooks/{webhook['id']}/deliveries/{delivery.id}"
    assert (await resident.client.get(path)).expect(200)["message_kept"] is False
    for part in ("message", "message/raw"):
        reply = await resident.client.get(f"{path}/{part}")
        assert reply.failure == (404, "message_not_kept")


async def test_what_is_not_there_is_not_found(resident: User, mail: Mail) -> None:
    webhook, other = await resident.new_webhook(), await resident.new_webhook()
    delivery, _ = await mail.handled(other["id"])
    for delivery_id in (NOWHERE, "1", delivery.id):
        for part in ("", "/message", "/message/raw"):
            path = f"/webhooks/{webhook['id']}/deliveries/{delivery_id}{part}"
            assert (await resident.client.get(path)).failure == (404, "not_found")
    assert (await resident.client.get("/webhooks/wh_1/deliveries")).failure == (404, "not_found")
