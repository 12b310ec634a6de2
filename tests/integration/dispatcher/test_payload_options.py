"""What a webhook's options make of its calls, and that a linked mail is there before the call."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from pydantic import TypeAdapter

from conduit.model.delivery import Result
from conduit.model.ids import Prefix, new_id
from conduit.model.payload_options import SMALLEST_BODY, AttachmentMode, PayloadOptions
from conduit.security.attachment_links import AttachmentLink, AttachmentLinks
from conduit.settings import Keys
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.mailroom import MAIL, Mailroom

FILE = b"\0\1\2\3" * 25_000
MIXED = (
    b"Subject: Files\r\nX-Tag: one\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nIt works.\r\n"
    b"--b\r\nContent-Type: a/b; name=a.bin\r\n\r\n" + FILE + b"\r\n--b--\r\n"
)
LINKS = PayloadOptions(attachments=AttachmentMode.LINKS)


class Endpoint:
    """An endpoint that looks, before it answers, whether the mails of its calls are kept."""

    def __init__(self, mailroom: Mailroom) -> None:
        self._mailroom = mailroom
        self.found: list[bytes | None] = []
        self.payloads: list[dict[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Answer a call."""
        payload = await request.json()
        [attachment] = payload["attachments"]
        message_id = urlsplit(attachment["url"]).path.split("/")[-2]
        self.found.append(await self._mailroom.messages.get(message_id))
        self.payloads.append(payload)
        return web.Response(status=200 if len(self.found) > 1 else 503)


@pytest.fixture
async def looking(mailroom: Mailroom) -> AsyncIterator[tuple[Endpoint, str]]:
    """Such an endpoint, and its URL; its first answer is 503."""
    endpoint = Endpoint(mailroom)
    app = web.Application()
    app.router.add_post("/", endpoint.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield endpoint, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_parts_are_left_out(mailroom: Mailroom, receiver: Receiver) -> None:
    options = PayloadOptions(headers=False, attachments=AttachmentMode.NONE)
    webhook = await mailroom.webhook(receiver.url, payload=options)
    await mailroom.accept(webhook, MIXED)
    [call] = await receiver.wait_for(1)
    payload = call.json()
    assert "headers" not in payload
    [attachment] = payload["attachments"]
    assert (attachment["filename"], attachment["size"]) == ("a.bin", len(FILE))
    assert "content" not in attachment
    assert attachment["reason"]


async def test_a_body_is_kept_within_the_limit(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url, payload=PayloadOptions(body_limit=SMALLEST_BODY))
    await mailroom.accept(webhook, MIXED)
    [call] = await receiver.wait_for(1)
    assert len(call.body) <= SMALLEST_BODY
    assert call.json()["text"] == "It works."
    assert "content" not in call.json()["attachments"][0]
    assert any(str(SMALLEST_BODY) in note for note in call.json()["notes"])


async def test_a_limit_of_attachments(mailroom: Mailroom, receiver: Receiver) -> None:
    limits = (len(FILE) - 1, len(FILE))
    for limit in limits:
        options = PayloadOptions(attachment_limit=limit)
        await mailroom.accept(await mailroom.webhook(receiver.url, payload=options), MIXED)
    calls = await receiver.wait_for(2)
    attachments = [attachment for call in calls for attachment in call.json()["attachments"]]
    [without] = [each for each in attachments if "reason" in each]
    [whole] = [each for each in attachments if "content" in each]
    assert str(limits[0]) in without["reason"]
    assert b64decode(whole["content"]) == FILE


async def test_a_template_whose_output_is_too_large_fails_for_good(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(
        receiver.url,
        payload_template="{{toJson .Attachments}}",
        payload=PayloadOptions(body_limit=SMALLEST_BODY),
    )
    await mailroom.accept(webhook, MIXED)
    [attempt] = await mailroom.attempts(webhook, 1)
    assert attempt.result is Result.PERMANENT
    assert str(attempt.error).startswith("payload_template: the template's output has 13")
    assert str(SMALLEST_BODY) in str(attempt.error)
    assert receiver.requests == []


@pytest.mark.parametrize("stored", [False, True])
async def test_a_linked_mail_is_there_before_the_call(
    mailroom: Mailroom, looking: tuple[Endpoint, str], dispatcher_stack: Stack, stored: bool
) -> None:
    endpoint, url = looking
    webhook = await mailroom.webhook(url, payload=LINKS)
    event = await mailroom.accept(webhook, MIXED, stored=stored)
    await mailroom.attempts(webhook, 2)
    assert endpoint.found == [MIXED, MIXED]
    environment = dispatcher_stack.plan.environment
    keys = TypeAdapter(Keys).validate_python(environment["CONDUIT_ENCRYPTION_KEYS"])
    [chunk] = await mailroom.chunks(event)
    for payload in endpoint.payloads:
        link = urlsplit(payload["attachments"][0]["url"])
        assert f"{link.scheme}://{link.netloc}" == environment["CONDUIT_PUBLIC_URL"]
        query = parse_qs(link.query)
        expires = int(query["expires"][0])
        named = AttachmentLink(webhook.id, event.message_id, 0, expires)
        assert AttachmentLinks(keys, "").is_signed(named, query["signature"][0])
        assert chunk["expires_at"].timestamp() >= expires


async def test_a_mail_without_attachments_is_kept_as_any(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url, payload=LINKS)
    event = await mailroom.accept(webhook)
    [call] = await receiver.wait_for(1)
    assert "attachments" not in call.json()
    await mailroom.attempts(webhook, 1)
    assert await mailroom.kept(event) == MAIL


async def test_a_replay_has_the_options_and_links_of_its_own(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(
        receiver.url, payload=LINKS.model_copy(update={"headers": False})
    )
    event = await mailroom.accept(webhook, MIXED)
    await mailroom.attempts(webhook, 1)
    again = replace(
        event.by_reference(), delivery_id=new_id(Prefix.DELIVERY), replay_of=event.delivery_id
    )
    await mailroom.publish(again)
    first, second = [call.json() for call in await receiver.wait_for(2)]
    assert second["attachments"] == first["attachments"]
    assert "url" in second["attachments"][0]
    assert "headers" not in second
    await mailroom.attempts(webhook, 2)


async def test_a_store_that_is_away_puts_a_linked_mail_off(
    mailroom: Mailroom, looking: tuple[Endpoint, str], dispatcher_stack: Stack
) -> None:
    """A link that leads nowhere is worse than a call that comes later."""
    endpoint, url = looking
    webhook = await mailroom.webhook(url, payload=LINKS)
    dispatcher_stack.kill("store")
    await mailroom.accept(webhook, MIXED)
    await asyncio.to_thread(dispatcher_stack.wait_ready)
    await mailroom.attempts(webhook, 2, within=60)
    assert endpoint.found == [MIXED, MIXED]
