"""Mail under way in tests: what is sent, what the ingest took, and what arrived."""

import asyncio
import os
import re
import shutil
import time
from datetime import datetime
from pathlib import Path

import orjson

from conduit_local.receiver import Receiver

_ROUND = 25
_SESSIONS = 5
_SIZE = 2048

_RECEIVED_AT = re.compile(rb'"received_at":"([^"]+)"')


class AcceptedMails:
    """The delivery ids that the ingest's log tells of: written when durable, before each 250."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._file = log.open("rb")
        self._file.seek(0, 2)
        self._begun = b""
        self._ids: set[str] = set()

    def ids(self) -> set[str]:
        """All ids since the start."""
        self._read()
        if self._log.exists() and self._log.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
            # The supervisor has begun a new file. The old one has got its last line before.
            self._read()
            self._file.close()
            self._file, self._begun = self._log.open("rb"), b""
            self._read()
        return self._ids

    def close(self) -> None:
        """Close the log."""
        self._file.close()

    def _read(self) -> None:
        *lines, self._begun = (self._begun + self._file.read()).split(b"\n")
        for line in lines:
            if b'"mail.accepted"' in line:
                self._ids.update(_ids_of(line))


class Arrivals:
    """What the endpoint got: the first call of each mail, and those after it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._seen = len(receiver.requests)
        self.first: dict[str, tuple[float, float]] = {}
        """When a mail was received, and when it arrived, in seconds since the epoch."""
        self.repeated: list[float] = []
        """When mails arrived that had arrived before."""

    def look(self) -> None:
        """Take note of what has arrived since the last look."""
        for call in self._receiver.requests[self._seen :]:
            if call.webhook_id in self.first:
                self.repeated.append(call.at)
            else:
                self.first[call.webhook_id] = (_received_at(call.body), call.at)
        self._seen = len(self._receiver.requests)

    def flowing(self, since: float, *, under_way: int) -> float | None:
        """Return when it was certain that mail flows since then, or None.

        It is when a mail has arrived that was received later, and more mails have than could have
        been under way: some event was taken, called, recorded and acknowledged since.
        """
        self.look()
        arrived = sorted(at for _, at in self.first.values() if at > since)
        received = [at for received, at in self.first.values() if received > since]
        if len(arrived) <= under_way or not received:
            return None
        return max(arrived[under_way], min(received))


class Load:
    """Sends mail with smtp-source, `rate` a second in rounds; a round ends at its first failure."""

    def __init__(self, server: str, recipient: str, rate: float) -> None:
        program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        assert program is not None, "smtp-source is missing: install Debian's postfix"
        self._pause = _ROUND / rate
        self._command = (
            *(program, "-s", str(_SESSIONS), "-m", str(_ROUND), "-l", str(_SIZE)),
            *("-f", "load@example.com", "-t", recipient, server),
        )

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            next_round = time.monotonic() + self._pause
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
            await asyncio.sleep(max(0.0, next_round - time.monotonic()))


def _ids_of(line: bytes) -> list[str]:
    try:
        ids: list[str] = orjson.loads(line)["delivery_ids"]
    except ValueError:  # half of it was lost in a kill
        return []
    return ids


def _received_at(body: bytes) -> float:
    found = _RECEIVED_AT.search(body)
    assert found is not None, "a call without `received_at`"
    return datetime.fromisoformat(found[1].decode()).timestamp()
