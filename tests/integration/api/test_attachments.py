"""Attachments by their links: who has one gets the file, and nobody gets anything else."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from pydantic import TypeAdapter

from conduit.model.delivery import Delivery
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.security.attachment_links import AttachmentLink, AttachmentLinks
from conduit.settings import Keys
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User
from tests.integration.api.conftest import DOWNLOADS_PER_ADDRESS
from tests.integration.api.mail import Mail
from tests.support.polling import eventually

LARGE = b"\0\1\2\3" * 1_000_000
RAW = (
    b"Subject: Files\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html; name*=utf-8''%C3%9C.html\r\n"
    b"Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\r\n"
    b"--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n"
    b"--b\r\nContent-Type: application/pdf; name=empty.pdf\r\n\r\n"
    b"\r\n--b\r\nContent-Type: a/b\r\n\r\n" + LARGE + b"\r\n--b--\r\n"
)


@pytest.fixture
def signer(stack: Stack) -> AttachmentLinks:
    """Signs as the dispatchers of the stack do."""
    keys = TypeAdapter(Keys).validate_python(stack.plan.environment["CONDUIT_ENCRYPTION_KEYS"])
    return AttachmentLinks(keys, stack.urls.api.removesuffix("/api/v1"))


@pytest.fixture
async def delivery(resident: User, mail: Mail) -> Delivery:
    """A mail with attachments."""
    webhook = await resident.new_webhook()
    delivery, _ = await mail.handled(webhook["id"], raw=RAW)
    return delivery


def link_to(delivery: Delivery, index: int = 0, until: datetime | None = None) -> AttachmentLink:
    expires = until or utc_now() + timedelta(hours=1)
    return AttachmentLink(delivery.webhook_id, delivery.message_id, index, int(expires.timestamp()))


async def test_who_has_the_link_gets_the_file(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    reply = await client.get(signer.url(link_to(delivery)))
    assert (reply.status, reply.octets) == (200, b"<script>alert(1)</script>")
    assert reply.headers["Content-Disposition"] == (
        "attachment; filename=\"_.html\"; filename*=UTF-8''%C3%9C.html"
    )
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Content-Length"] == str(len(reply.octets))


async def test_each_attachment_has_a_link_of_its_own(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    image, empty, large = [await client.get(signer.url(link_to(delivery, i))) for i in (1, 2, 3)]
    assert (image.headers["Content-Type"], image.octets) == ("image/png", b"PNG")
    assert (empty.headers["Content-Type"], empty.octets) == ("application/pdf", b"")
    assert (large.status, large.octets == LARGE) == (200, True)


async def test_a_head_tells_of_the_file(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    reply = await client.send("HEAD", signer.url(link_to(delivery, 3)))
    assert (reply.status, reply.octets) == (200, b"")
    assert reply.headers["Content-Length"] == str(len(LARGE))
    assert reply.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signature", "0" * 64),
        ("signature", ""),
        ("signature", "ü"),
        ("expires", "9999999999"),
        ("expires", "9" * 5_000),
        ("expires", "-1"),
        ("expires", "1e9"),
        ("expires", "١٢"),
    ],
)
async def test_a_link_that_was_changed_is_none(
    client: Client, delivery: Delivery, signer: AttachmentLinks, name: str, value: str
) -> None:
    url = urlsplit(signer.url(link_to(delivery)))
    query = urlencode({**dict(parse_qsl(url.query)), name: value})
    assert (await client.get(url._replace(query=query).geturl())).failure == (404, "not_found")


async def test_a_link_is_good_for_its_attachment_alone(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    url = urlsplit(signer.url(link_to(delivery)))
    others = (
        url.path[:-1] + "1",
        url.path[:-1] + "x",
        url.path.replace(delivery.message_id, new_id(Prefix.MESSAGE)),
        url.path.replace(delivery.webhook_id, new_id(Prefix.WEBHOOK)),
    )
    for path in others:
        reply = await client.get(url._replace(path=path).geturl())
        assert reply.failure == (404, "not_found")
    assert (await client.get(url._replace(query="").geturl())).failure == (404, "not_found")


async def test_links_end(client: Client, delivery: Delivery, signer: AttachmentLinks) -> None:
    over = signer.url(link_to(delivery, until=utc_now() - timedelta(seconds=1)))
    assert (await client.get(over)).failure == (410, "link_expired")


async def test_a_mail_that_is_gone_is_said_so(
    client: Client, delivery: Delivery, signer: AttachmentLinks, mail: Mail
) -> None:
    await mail.gone(delivery)
    assert (await client.get(signer.url(link_to(delivery)))).failure == (410, "message_not_kept")


async def test_a_deleted_webhook_takes_its_links_with_it(
    resident: User, delivery: Delivery, signer: AttachmentLinks
) -> None:
    url = signer.url(link_to(delivery))
    assert (await resident.client.get(url)).status == 200
    await resident.client.delete(f"/webhooks/{delivery.webhook_id}")
    assert (await resident.client.get(url)).failure == (404, "not_found")


async def test_an_attachment_that_the_mail_does_not_have(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    assert (await client.get(signer.url(link_to(delivery, 4)))).failure == (404, "not_found")


async def test_other_methods_are_refused(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    reply = await client.send("POST", signer.url(link_to(delivery)))
    assert reply.failure == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_nobody_can_guess_for_long(
    client: Client, delivery: Delivery, signer: AttachmentLinks
) -> None:
    wrong = signer.url(replace(link_to(delivery), message_id="x")).replace("/x/", "/y/")
    for _ in range(DOWNLOADS_PER_ADDRESS):
        assert (await client.get(wrong)).failure == (404, "not_found")
    reply = await client.get(signer.url(link_to(delivery)))
    assert reply.failure == (429, "too_many_requests")
    assert int(reply.headers["Retry-After"]) > 0


async def test_the_log_has_no_links(
    client: Client, delivery: Delivery, signer: AttachmentLinks, stack: Stack
) -> None:
    url = signer.url(link_to(delivery))
    headers = {"X-Request-Id": new_id(Prefix.LOG)}
    await client.get(url, headers=headers)
    files = sorted((stack.data_dir / "log").glob("api*"))
    assert files

    def logged() -> str:
        text = "".join(path.read_text() for path in files)
        return text if headers["X-Request-Id"] in text else ""

    text = await eventually(logged, what="the log line of the request")
    assert "/attachments/{webhook_id}/{message_id}/{index}" in text
    assert dict(parse_qsl(urlsplit(url).query))["signature"] not in text
