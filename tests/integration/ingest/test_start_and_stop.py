"""How the process starts, why it does not, and how it stops."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import Queued
from tests.support.smtp import Ingest, connected, greeted

NewIngest = Callable[..., Ingest]


async def started(new_ingest: NewIngest, **settings: str) -> Ingest:
    """Start an ingest of a test's own."""
    ingest = new_ingest(**settings)
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    return ingest


async def failed(ingest: Ingest) -> tuple[int, list[str]]:
    """Start an ingest that cannot run; return its exit code and its complaints."""
    ingest.start()
    code = await asyncio.to_thread(ingest.exit_code)
    assert "Traceback" not in ingest.said()
    complaints = [
        line
        for line in ingest.said().splitlines()
        if line.startswith("conduit: ") or '"level":"error"' in line
    ]
    return code, complaints


async def test_sigterm_ends_idle_sessions_and_lets_mails_in_data_finish(
    new_ingest: NewIngest, webhook: Webhook, queued: Queued
) -> None:
    ingest = await started(new_ingest)
    async with (
        connected(ingest.port) as new,
        greeted(ingest.port) as idle,
        greeted(ingest.port) as begun,
        greeted(ingest.port) as sending,
    ):
        await new.reply()
        await begun.expect("MAIL FROM:<>", "250")
        await sending.begin(webhook.address)
        await sending.send(b"half\r\n")
        ingest.signal(signal.SIGTERM)
        assert await idle.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        assert await new.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        with pytest.raises(ConnectionError):
            async with connected(ingest.port):
                pass
        await begun.expect(f"RCPT TO:<{webhook.address}>", "250")
        await begun.expect("RSET", "250")
        assert await begun.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        await sending.send(b"and whole\r\n.\r\n")
        assert (await sending.reply()).startswith("250 2.0.0 queued")
        assert await sending.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
    assert await asyncio.to_thread(ingest.exit_code) == 0
    await queued.expect_content(webhook, b"half\r\nand whole\r\n")


async def test_a_client_that_is_silent_within_its_mail_does_not_hold_the_stop_up(
    new_ingest: NewIngest, webhook: Webhook
) -> None:
    ingest = await started(new_ingest)
    async with greeted(ingest.port) as begun, greeted(ingest.port) as sending:
        await begun.expect("MAIL FROM:<>", "250")
        await sending.begin(webhook.address)
        ingest.signal(signal.SIGTERM)
        stopping = time.monotonic()
        for client in (begun, sending):
            assert await client.rest() == b"421 4.3.2 Service is going down, try again later\r\n"
        assert await asyncio.to_thread(ingest.exit_code) == 0
        assert time.monotonic() - stopping < 8


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_taken_port_is_told(new_ingest: NewIngest, processes: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, [complaint] = await failed(new_ingest(smtp_port=port, smtp_processes=processes))
    assert code == 1
    assert port in complaint
    assert "address already in use" in complaint


async def test_a_port_that_others_share_is_taken_too(new_ingest: NewIngest) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = str(taken.getsockname()[1])
        code, [complaint] = await failed(new_ingest(smtp_port=port, smtp_processes="2"))
    assert code == 1
    assert "address already in use" in complaint


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_certificate_that_is_not_there_is_told(
    new_ingest: NewIngest, tmp_path: Path, processes: str
) -> None:
    missing = str(tmp_path / "missing.pem")
    code, [complaint] = await failed(
        new_ingest(
            smtp_tls_certificate=missing,
            smtp_tls_key=missing,
            smtp_tls_self_signed="false",
            smtp_processes=processes,
        )
    )
    assert code == 2
    assert f"the certificate {missing} cannot be used: [Errno 2] No such file" in complaint


async def test_a_file_that_is_no_certificate_is_told(
    new_ingest: NewIngest, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    code, [complaint] = await failed(
        new_ingest(smtp_tls_certificate=str(wrong), smtp_tls_self_signed="false")
    )
    assert code == 2
    assert f"the certificate {wrong} cannot be used" in complaint


@pytest.mark.parametrize(
    ("setting", "value", "complaint"),
    [
        ("smtp_port", "http", r"CONDUIT_SMTP_PORT: .* valid integer.*"),
        ("smtp_processes", "0", r"CONDUIT_SMTP_PROCESSES: .* greater than or equal to 1"),
        ("amqp_url", "http://user:secret@h/", r"CONDUIT_AMQP_URL: URL scheme .*"),
        ("smtp_tls_key", "", r"CONDUIT_SMTP_TLS_CERTIFICATE and CONDUIT_SMTP_TLS_KEY go .*"),
    ],
)
async def test_a_bad_setting_is_one_line_and_exit_code_2(
    new_ingest: NewIngest, setting: str, value: str, complaint: str
) -> None:
    ingest = new_ingest(**{setting: value})
    code, [line] = await failed(ingest)
    assert code == 2
    assert re.fullmatch(f"conduit: {complaint}", line)
    assert ingest.said() == line + "\n"
