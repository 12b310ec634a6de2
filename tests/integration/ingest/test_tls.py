"""STARTTLS (RFC 3207) and implicit TLS (RFC 8314) on the real process, which runs under uvloop."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued
from tests.support.certificates import renew, renewed, shown
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, any_certificate, connected, greeted


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
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit TLS"])
async def test_versions_from_1_2_on_are_taken(ingest: Ingest, version: str, implicit: bool) -> None:
    context = any_certificate()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    async with connected(ingest.tls_port if implicit else ingest.port) as client:
        if not implicit:
            assert (await client.reply()).startswith("220 ")
            await client.expect("EHLO client.example", "250")
            await client.expect("STARTTLS", "220")
        if version in {"TLSv1", "TLSv1_1"}:
            with pytest.raises((ssl.SSLError, OSError)):
                await client.writer.start_tls(context, ssl_handshake_timeout=10)
        else:
            await client.writer.start_tls(context, ssl_handshake_timeout=10)
            await client.expect("NOOP", "220" if implicit else "250 2.0.0 OK")


async def test_a_session_may_begin_with_the_handshake(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    async with greeted(ingest.tls_port, tls=True) as client:
        offered = await client.command("EHLO client.example")
        assert "AUTH PLAIN LOGIN" in offered
        assert "STARTTLS" not in offered
        assert await client.command("STARTTLS") == "503 5.5.1 TLS is active already"
        assert (await client.mail(b"secret\r\n", webhook.address)).startswith("250 ")
        assert await client.command("QUIT") == "221 2.0.0 Bye"
        assert await client.rest() == b""
    event = await queued.expect_content(webhook, b"secret\r\n")
    assert event.envelope.tls == "TLSv1.3"
    assert event.envelope.remote_ip == "127.0.0.1"


async def test_the_port_for_tls_says_nothing_in_the_clear(ingest: Ingest) -> None:
    async with connected(ingest.tls_port) as client:
        await client.send(b"EHLO client.example\r\nMAIL FROM:<ann@example.com>\r\n")
        assert b"220" not in await client.rest()
    async with greeted(ingest.port) as client:
        await client.expect("NOOP", "250")


@pytest.fixture
def certified(
    new_ingest: Callable[..., Ingest], tmp_path: Path
) -> tuple[Ingest, tuple[Path, Path]]:
    """An ingest with a certificate of its own, not yet started, and the files."""
    files = tmp_path / "own.pem", tmp_path / "own-key.pem"
    names = {"smtp_tls_certificate": str(files[0]), "smtp_tls_key": str(files[1])}
    return new_ingest(**names), files


async def test_a_renewed_certificate_is_shown_next_and_sessions_go_on(
    certified: tuple[Ingest, tuple[Path, Path]], webhook: Webhook, queued: Queued
) -> None:
    ingest, files = certified
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    first = await asyncio.to_thread(shown, ingest.tls_port)
    async with greeted(ingest.port) as open_before, greeted(ingest.port) as in_the_clear:
        await open_before.start_tls()
        await open_before.expect("EHLO client.example", "250")
        await open_before.begin(webhook.address)
        await open_before.send(b"half")

        # Only one of the two files is new at first.
        certificate, key = renewed(*files)
        certificate.replace(files[0])
        await eventually(lambda: "certificate.not_reloaded" in ingest.said(), what="a complaint")
        assert await asyncio.to_thread(shown, ingest.tls_port) == first
        key.replace(files[1])
        await eventually(lambda: "certificate.reloaded" in ingest.said(), what="the reload")
        assert await asyncio.to_thread(shown, ingest.tls_port) == files[0].read_text()

        await open_before.send(b" and whole\r\n.\r\n")
        assert (await open_before.reply()).startswith("250 ")
        await in_the_clear.start_tls()
        assert _certificate(in_the_clear) == ssl.PEM_cert_to_DER_cert(files[0].read_text())
        assert _certificate(open_before) == ssl.PEM_cert_to_DER_cert(first)
    await queued.expect_content(webhook, b"half and whole\r\n")
    renew(*files)
    await eventually(lambda: ingest.said().count("certificate.reloaded") == 2, what="the reload")
    assert await asyncio.to_thread(shown, ingest.tls_port) == files[0].read_text()
    assert "Traceback" not in ingest.said()


def _certificate(client: Client) -> bytes | None:
    """Return what the server showed this client (DER)."""
    secured: ssl.SSLObject = client.writer.get_extra_info("ssl_object")
    return secured.getpeercert(binary_form=True)
