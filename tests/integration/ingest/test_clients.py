"""Mails of other people's SMTP clients."""

import asyncio
import shutil
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued
from tests.support.smtp import Ingest


def message(address: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.com", address, "Grüße"
    mail.set_content(".\n..\nÄpfel\n" + "x" * 70 + "\n")
    mail.add_attachment(bytes(range(256)) * 50, "application", "octet-stream", filename="ä.bin")
    mail.set_boundary("boundary")  # else it is another one each time that the mail is written
    return mail


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "starttls"])
async def test_smtplib_delivers(
    ingest: Ingest, webhook: Webhook, queued: Queued, tls: bool
) -> None:
    mail = message(webhook.address)

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", ingest.port, "client.example", timeout=10) as client:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                client.starttls(context=context)
            assert client.send_message(mail) == {}

    await asyncio.to_thread(send)
    await queued.expect_content(webhook, mail.as_bytes(policy=SMTP))


@pytest.mark.parametrize("options", [[], ["--tls"], ["--pipeline"]], ids=repr)
async def test_swaks_delivers(
    ingest: Ingest, webhook: Webhook, queued: Queued, options: list[str]
) -> None:
    swaks = shutil.which("swaks")
    assert swaks is not None, "swaks is not installed: .ci/run installs it on Debian"
    process = await asyncio.create_subprocess_exec(
        swaks,
        *("--server", f"127.0.0.1:{ingest.port}", "--from", "ann@example.com"),
        *("--to", webhook.address, "--body", "from swaks", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode(errors="replace")
    [event] = await queued.expect(webhook)
    assert event.raw is not None
    assert b"from swaks\r\n" in event.raw
    assert (event.envelope.tls is not None) == ("--tls" in options)
