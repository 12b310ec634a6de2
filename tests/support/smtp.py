"""The SMTP ingest as a process of its own, and a client that sends exactly what a test says."""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from conduit_local import probes
from conduit_local.environment import without_settings
from conduit_local.ports import LOOPBACK, Ports
from tests.support.polling import PATIENCE

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
_INTERVAL = 0.02


class Ingest:
    """One `python -m conduit_smtp_ingest` on free ports. `with` starts it, ready, and ends it."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        ports = Ports.free()
        self.port = ports.smtp
        self.tls_port = ports.api  # any free one
        self.metrics_port = ports.smtp_metrics
        self.log = directory / f"ingest-{ports.smtp}.log"
        self._environment = (
            without_settings(os.environ)
            | {
                "CONDUIT_SMTP_PORT": str(ports.smtp),
                "CONDUIT_SMTP_METRICS_PORT": str(ports.smtp_metrics),
            }
            | self._implicit_tls(settings)
            | dict(settings)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _implicit_tls(self, settings: Mapping[str, str]) -> dict[str, str]:
        with_tls = "CONDUIT_SMTP_TLS_CERTIFICATE" in settings
        return {"CONDUIT_SMTP_TLS_PORT": str(self.tls_port)} if with_tls else {}

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; returns before it is ready."""
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "conduit_smtp_ingest"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Return when /readyz says that it takes mail."""
        probe, deadline = probes.readyz(self.metrics_port), time.monotonic() + READY_SECONDS
        while missing := probe():
            assert self._process is not None
            assert self._process.poll() is None, f"the ingest has ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"{missing}\n{self.said()}"
            time.sleep(_INTERVAL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        os.kill(self.pid, number)

    def exit_code(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Have it ended, whatever state it is in; its workers end by themselves."""
        if self._process is not None and self._process.poll() is None:
            workers = self.workers()
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            deadline = time.monotonic() + STOP_SECONDS
            while any(map(_alive, workers)):
                assert time.monotonic() < deadline, f"left running: {workers}\n{self.said()}"
                time.sleep(_INTERVAL)

    def workers(self) -> list[int]:
        """Return the ids of the processes that share its port."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in _command(int(child))]

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def peak_memory(self) -> int:
        """Return the most octets that it ever had resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def metric(self, sample: str) -> float:
        """Return the value of a sample such as `name_total{label="x"}`, 0 when it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the operators' port."""
        connection = HTTPConnection(LOOPBACK, self.metrics_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def _alive(pid: int) -> bool:
    """Whether a process runs: one that ended and is not yet waited for does not."""
    return _command(pid) != b""


class Client:
    """The client's side of one session: octets as they are, replies as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, octets: bytes) -> None:
        """Send octets, as many as the server takes."""
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self, within: float = PATIENCE) -> str:
        """Return the next reply, its lines separated by \\n; fail when none comes."""
        lines = [(await self.line(within)).decode()]
        while lines[-1][3:4] == "-":
            lines.append((await self.line(within)).decode())
        return "\n".join(lines)

    async def line(self, within: float = PATIENCE) -> bytes:
        """Return the next line without its CRLF."""
        async with asyncio.timeout(within):
            return (await self.reader.readuntil(b"\r\n"))[:-2]

    async def command(self, line: str | bytes, within: float = PATIENCE) -> str:
        """Send a command and return the reply to it."""
        await self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return await self.reply(within)

    async def expect(self, line: str | bytes, *expected: str) -> None:
        """Send a command; its reply must begin as one of these."""
        reply = await self.command(line)
        assert reply.startswith(expected), f"{line!r} got {reply!r}"

    async def rest(self, within: float = PATIENCE) -> bytes:
        """Return what comes until the server has closed the connection."""
        async with asyncio.timeout(within):
            return await self.reader.read(-1)

    async def begin(self, *recipients: str, sender: str = "ann@example.com") -> None:
        """Go on until the server waits for the content of a mail to these addresses."""
        await self.expect(f"MAIL FROM:<{sender}>", "250")
        for recipient in recipients:
            await self.expect(f"RCPT TO:<{recipient}>", "250")
        await self.expect("DATA", "354")

    async def mail(
        self,
        content: bytes,
        *recipients: str,
        sender: str = "ann@example.com",
        within: float = PATIENCE,
    ) -> str:
        """Send a whole mail, its dots already doubled; return the last reply."""
        await self.begin(*recipients, sender=sender)
        await self.send(content + b".\r\n")
        return await self.reply(within)

    async def start_tls(self) -> None:
        """Secure the connection; any certificate does."""
        await self.expect("STARTTLS", "220")
        await self.writer.start_tls(any_certificate(), ssl_handshake_timeout=10)

    async def auth(self, username: str, password: str, mechanism: str = "PLAIN") -> str:
        """Authenticate, the shortest way; return the last reply."""
        if mechanism == "PLAIN":
            return await self.command(f"AUTH PLAIN {plain(username, password)}")
        await self.expect(f"AUTH LOGIN {base64(username)}", "334")
        return await self.command(base64(password))


def plain(username: str, password: str) -> str:
    """Return the response of the mechanism PLAIN (RFC 4616)."""
    return base64(f"\0{username}\0{password}")


def base64(text: str) -> str:
    """Return what AUTH sends for a text."""
    return b64encode(text.encode()).decode()


def any_certificate() -> ssl.SSLContext:
    """Return how to connect to a server whose certificate does not matter."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def connected(
    port: int,
    *,
    host: str = LOOPBACK,
    source: str | None = None,
    tls: bool = False,
    header: bytes = b"",
) -> AsyncIterator[Client]:
    """Connect, from the address `source`; what the server says first is yet to be read.

    `tls`: from the first octet. `header` is what a proxy sends before everything else.
    """
    reader, writer = await asyncio.open_connection(
        host, port, local_addr=None if source is None else (source, 0)
    )
    try:
        writer.write(header)
        if tls:
            await writer.start_tls(any_certificate(), ssl_handshake_timeout=10)
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.wait([asyncio.ensure_future(_closed(writer))])


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            await writer.wait_closed()
    except OSError:  # the server may have ended it before, or a handshake was given up
        return


@asynccontextmanager
async def greeted(
    port: int,
    ehlo: str = "EHLO client.example",
    *,
    host: str = LOOPBACK,
    source: str | None = None,
    tls: bool = False,
    header: bytes = b"",
) -> AsyncIterator[Client]:
    """Connect as `connected` does, and say EHLO."""
    async with connected(port, host=host, source=source, tls=tls, header=header) as client:
        assert (await client.reply()).startswith("220 ")
        await client.expect(ehlo, "250")
        yield client
