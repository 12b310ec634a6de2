"""What a client sends between DATA and its end is what lies on the queue, octet by octet."""

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import NewWebhook, Queued
from tests.support.smtp import Ingest, connected, greeted

MIB = 1024 * 1024
SIZE_LIMIT = 25 * MIB

SMUGGLED = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nnever\r\n"

NO_TERMINATORS = (
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n.\r\r\n",
    b"\r\n. \r\n",
)


@pytest.mark.parametrize("ending", NO_TERMINATORS, ids=repr)
async def test_only_crlf_dot_crlf_ends_a_mail(
    ingest: Ingest, webhook: Webhook, queued: Queued, ending: bytes
) -> None:
    content = b"Subject: x\r\n\r\nfirst" + ending + SMUGGLED
    async with greeted(ingest.port) as client:
        assert (await client.mail(content, webhook.address)).startswith("250 2.0.0 queued")
        assert await client.command("NOOP") == "250 2.0.0 OK"
    await queued.expect_content(webhook, content.replace(b"\r\n.", b"\r\n"))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"\r\n", b"\r\n", id="an empty line"),
        pytest.param(b"..\r\n", b".\r\n", id="a dot first"),
        pytest.param(b"a\r\n..\r\n...\r\n..b\r\n", b"a\r\n.\r\n..\r\n.b\r\n", id="dot lines"),
        pytest.param(b".a\r\n.b\r\n", b"a\r\nb\r\n", id="dots that were not doubled"),
        pytest.param(b"a.\r\n b.c\r\n", b"a.\r\n b.c\r\n", id="dots elsewhere"),
        pytest.param(bytes(range(256)) + b"\r\n", bytes(range(256)) + b"\r\n", id="all octets"),
        pytest.param(b"a\nb\rc\r\n", b"a\nb\rc\r\n", id="bare CR and LF"),
    ],
)
async def test_content_is_kept_octet_by_octet(
    ingest: Ingest, webhook: Webhook, queued: Queued, sent: bytes, kept: bytes
) -> None:
    async with greeted(ingest.port) as client:
        assert (await client.mail(sent, webhook.address)).startswith("250 2.0.0 queued")
    event = await queued.expect_content(webhook, kept)
    assert event.raw is not None


async def test_the_envelope_is_that_of_the_session(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(ingest.port, "EHLO mx.example.com") as client:
        reply = await client.mail(b"\r\n", webhook.address)
    [event] = await queued.expect(webhook)
    assert reply == f"250 2.0.0 queued as {event.delivery_id}"
    assert event.envelope.mail_from == "ann@example.com"
    assert event.envelope.recipients == (webhook.address,)
    assert event.envelope.helo == "mx.example.com"
    assert event.envelope.remote_ip == "127.0.0.1"
    assert event.envelope.tls is None
    assert event.attempt == 1


async def test_a_mail_too_large_for_the_bus_travels_by_reference(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    content = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 5_000
    assert len(content) > 256 * 1024
    async with greeted(ingest.port) as client:
        assert (await client.mail(content, webhook.address)).startswith("250 ")
    event = await queued.expect_content(webhook, content)
    assert event.raw is None


async def test_one_mail_to_two_webhooks_is_two_deliveries_of_one_message(
    ingest: Ingest, new_webhook: NewWebhook, queued: Queued
) -> None:
    first, second = await new_webhook(), await new_webhook()
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"both\r\n", first.address, second.address)
    one = await queued.expect_content(first, b"both\r\n")
    other = await queued.expect_content(second, b"both\r\n")
    assert one.message_id == other.message_id
    assert [line[-30:] for line in reply.split("\n")] == [one.delivery_id, other.delivery_id]
    assert one.envelope.recipients == (first.address,)


async def test_one_webhook_named_twice_gets_the_mail_once(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    local, _, domain = webhook.address.partition("@")
    again = f"{local.upper()}@{domain}"
    async with greeted(ingest.port) as client:
        await client.mail(b"once\r\n", webhook.address, webhook.address, again)
    event = await queued.expect_content(webhook, b"once\r\n")
    assert event.envelope.recipients == (webhook.address, again)


async def test_a_mail_of_exactly_the_limit_is_taken_and_one_octet_more_is_not(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    # Doubled dots don't count (RFC 1870 §5), so that a client may announce what we measure.
    lines = SIZE_LIMIT // 64
    content, sent = b"." + b"x" * 61 + b"\r\n", b".." + b"x" * 61 + b"\r\n"
    async with greeted(ingest.port) as client:
        await client.expect(f"MAIL FROM:<> SIZE={SIZE_LIMIT}", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        await client.expect("DATA", "354")
        await client.send(sent * lines + b".\r\n")
        assert (await client.reply()).startswith("250 2.0.0 queued")
        reply = await client.mail(b"x" + sent * lines, webhook.address)
        assert reply == "552 5.3.4 Message too large"
        assert await client.command("NOOP") == "250 2.0.0 OK"
    await queued.expect_content(webhook, content * lines)


async def test_a_loop_is_ended_at_a_hundred_hops(ingest: Ingest, webhook: Webhook) -> None:
    hop = b"Received: from a.example by b.example; Sat, 1 Jan 2028 00:00:00 +0000\r\n"
    async with greeted(ingest.port) as client:
        assert (await client.mail(hop * 99 + b"\r\n", webhook.address)).startswith("250 ")
        reply = await client.mail(hop * 100 + b"\r\n", webhook.address)
        assert reply == "554 5.4.6 Mail loop: too many Received header fields"


async def test_a_client_that_closes_its_side_after_the_dot_gets_its_reply(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        await client.send(b"half-closed\r\n.\r\n")
        client.writer.write_eof()
        rest = await client.rest()
    assert rest.startswith(b"250 2.0.0 queued as dlv_")
    await queued.expect_content(webhook, b"half-closed\r\n")


async def test_a_client_that_leaves_after_the_dot_has_sent_its_mail(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        await client.send(b"gone\r\n.\r\n")
    await queued.expect_content(webhook, b"gone\r\n")


@pytest.mark.parametrize("polite", [True, False], ids=["half-closed", "reset"])
async def test_a_client_that_leaves_within_data_has_sent_nothing(
    ingest: Ingest, webhook: Webhook, queued: Queued, polite: bool
) -> None:
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        await client.send(b"Subject: half\r\n\r\nnot yet all\r\n.\r")
        if polite:
            client.writer.write_eof()
            assert await client.rest() == b""
    await queued.expect_none(webhook)


async def test_the_end_of_a_mail_may_come_octet_by_octet(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with connected(ingest.port) as client:
        await client.reply()
        await client.expect("EHLO a", "250")
        await client.begin(webhook.address)
        for octet in b"slow\r\n..\r\n.\r\n":
            await client.send(bytes([octet]))
        assert (await client.reply()).startswith("250 ")
    await queued.expect_content(webhook, b"slow\r\n.\r\n")
