"""STARTTLS (RFC 3207) on the real process, which runs under uvloop."""

import ssl

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted


async def test_a_mail_over_tls(ingest: Ingest, webhook: Webhook, queued: Queued) -> None:
    async with greeted(ingest.port) as client:
        await client.start_tls()
        await client.expect("EHLO secure.example", "250")
        reply = await client.mail(b"secret\r\n", webhook.address)
        assert reply.startswith("250 2.0.0 queued")
        assert await client.command("QUIT") == "221 2.0.0 Bye"
        assert await client.rest() == b""
    event = await queued.expect_content(webhook, b"secret\r\n")
    assert event.envelope.tls == "TLSv1.3"
    assert event.envelope.remote_ip == "127.0.0.1"
    assert event.envelope.helo == "secure.example"


async def test_a_large_mail_over_tls(ingest: Ingest, webhook: Webhook, queued: Queued) -> None:
    content = (b"x" * 998 + b"\r\n") * 5_000
    async with greeted(ingest.port) as client:
        await client.start_tls()
        await client.expect("EHLO secure.example", "250")
        assert (await client.mail(content, webhook.address)).startswith("250 ")
    await queued.expect_content(webhook, content)


async def test_starttls_is_offered_once(ingest: Ingest) -> None:
    async with greeted(ingest.port) as client:
        assert "STARTTLS" in await client.command("EHLO a")
        await client.start_tls()
        assert "STARTTLS" not in await client.command("EHLO a")
        assert await client.command("STARTTLS") == "503 5.5.1 TLS is active already"
        assert await client.command("NOOP") == "250 2.0.0 OK"


async def test_what_was_said_before_is_forgotten(ingest: Ingest, webhook: Webhook) -> None:
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        await client.start_tls()
        assert await client.command("DATA") == "503 5.5.1 Send RCPT first"
        assert await client.command("MAIL FROM:<>") == "503 5.5.1 Send EHLO or HELO first"


@pytest.mark.parametrize("injected", [1, 5_000], ids=["one command", "more than is read ahead"])
async def test_commands_sent_with_starttls_are_ignored(ingest: Ingest, injected: int) -> None:
    async with greeted(ingest.port) as client:
        await client.send(b"STARTTLS\r\n" + b"EHLO evil.example\r\n" * injected)
        assert (await client.reply()).startswith("220 ")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if injected == 1:
            await client.writer.start_tls(context, ssl_handshake_timeout=10)
            assert await client.command("NOOP") == "250 2.0.0 OK"
            assert await client.command("MAIL FROM:<>") == "503 5.5.1 Send EHLO or HELO first"
        else:
            # What did not come in time to be ignored is no handshake.
            with pytest.raises((ssl.SSLError, OSError)):
                await client.writer.start_tls(context, ssl_handshake_timeout=10)


async def test_a_handshake_that_fails_ends_the_session_and_no_more(ingest: Ingest) -> None:
    faults = ingest.said().count("session.fault")
    async with greeted(ingest.port) as client:
        await client.expect("STARTTLS", "220")
        await client.send(b"NOOP in the clear\r\n")
        assert b"451" not in await client.rest()
    await eventually(lambda: ingest.metric("conduit_ingest_sessions") == 0, what="its end")
    assert ingest.said().count("session.fault") == faults


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_are_refused(ingest: Ingest) -> None:
    async with greeted(ingest.port) as client:
        await client.expect("STARTTLS", "220")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            await client.writer.start_tls(context, ssl_handshake_timeout=10)
