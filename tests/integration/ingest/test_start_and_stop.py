"""How the process starts, why it does not, and how it stops."""

import asyncio
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

STOPPING = b"421 4.3.2 Service is going down, try again later\r\n"


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


async def test_sigterm_ends_idle_sessions_at_once_and_silent_ones_soon_and_lets_mails_finish(
    new_ingest: NewIngest, webhook: Webhook, queued: Queued
) -> None:
    ingest = await started(new_ingest)
    async with (
        connected(ingest.port) as new,
        greeted(ingest.port) as idle,
        greeted(ingest.port) as begun,
        greeted(ingest.port) as silent,
        greeted(ingest.port) as sending,
    ):
        await new.reply()
        await begun.expect("MAIL FROM:<>", "250")
        await silent.begin(webhook.address)
        await sending.begin(webhook.address)
        await sending.send(b"half\r\n")
        stopping = time.monotonic()
        ingest.signal(signal.SIGTERM)
        assert await idle.rest() == STOPPING
        assert await new.rest() == STOPPING
        with pytest.raises(ConnectionError):
            async with connected(ingest.port):
                pass
        await begun.expect(f"RCPT TO:<{webhook.address}>", "250")
        await begun.expect("RSET", "250")
        assert await begun.rest() == STOPPING
        await sending.send(b"and whole\r\n.\r\n")
        assert (await sending.reply()).startswith("250 2.0.0 queued")
        assert await sending.rest() == STOPPING
        assert await silent.rest() == STOPPING
    assert await asyncio.to_thread(ingest.exit_code) == 0
    assert time.monotonic() - stopping < 6
    await queued.expect_content(webhook, b"half\r\nand whole\r\n")


async def test_a_taken_port_is_told_even_if_it_is_shared(new_ingest: NewIngest) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as shared,
    ):
        ports = [str(server.getsockname()[1]) for server in (taken, shared)]
        results = await asyncio.gather(
            failed(new_ingest(smtp_port=ports[0])),
            failed(new_ingest(smtp_port=ports[1], smtp_processes="2")),
        )
    for port, (code, [complaint]) in zip(ports, results, strict=True):
        assert code == 1
        assert port in complaint
        assert "address already in use" in complaint


async def test_a_certificate_that_is_not_there_is_told(
    new_ingest: NewIngest, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    tls = {
        "smtp_tls_certificate": missing,
        "smtp_tls_key": missing,
        "smtp_tls_self_signed": "false",
    }
    results = await asyncio.gather(
        *(failed(new_ingest(**tls, smtp_processes=processes)) for processes in ("1", "2"))
    )
    for code, [complaint] in results:
        assert code == 2
        assert f"the certificate {missing} cannot be used: [Errno 2] No such file" in complaint


async def test_a_bad_setting_is_one_line_and_exit_code_2(new_ingest: NewIngest) -> None:
    ingest = new_ingest(smtp_port="http")
    code, [line] = await failed(ingest)
    assert code == 2
    assert line.startswith("conduit: CONDUIT_SMTP_PORT: Input should be a valid integer")
    assert ingest.said() == line + "\n"
