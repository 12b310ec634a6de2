"""Somebody else, who is greeted and delivers mail again and again while an attack goes on.

A thread with blocking sockets: what it measures does not depend on what the test's loop does.
"""

import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.support.smtp import Ingest

MIB = 1024 * 1024
MEMORY = 300 * MIB
"""Octets that the process may ever have resident, whatever is done to it."""

GREETED = 1.0
"""Seconds until a greeting, which are promised whatever others do."""

_HICCUP = 5.0  # seconds that a machine which does something else may take once
_PATIENCE = 30.0
_PAUSE = 0.05


class Bystander:
    """How long each greeting took, and what was said to each mail."""

    def __init__(self, port: int, address: str) -> None:
        self.greetings: list[float] = []
        self.replies: list[str] = []
        self.troubles: list[str] = []
        self._port = port
        self._address = address
        self._enough = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the last mail is answered."""
        self._enough.set()
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "a bystander was left waiting"

    @property
    def slowest(self) -> float:
        """Seconds within which all but one in twenty were greeted."""
        return sorted(self.greetings)[(len(self.greetings) - 1) * 19 // 20]

    def _run(self) -> None:
        ended = False
        while not ended:
            try:
                self._deliver()
            except (smtplib.SMTPException, OSError) as error:
                self.troubles.append(repr(error))
            ended = self._enough.wait(_PAUSE)

    def _deliver(self) -> None:
        started = time.monotonic()
        with smtplib.SMTP("127.0.0.1", self._port, "bystander.example", _PATIENCE) as client:
            self.greetings.append(time.monotonic() - started)
            client.ehlo()
            client.mail("bob@example.com")
            client.rcpt(self._address)
            code, text = client.data(b"Subject: meanwhile\r\n\r\nas ever\r\n")
            self.replies.append(f"{code} {text.decode()}")


@contextmanager
def bystander(ingest: Ingest, address: str) -> Iterator[Bystander]:
    """Have somebody else deliver mail meanwhile; in the end it must have gone as promised."""
    other = Bystander(ingest.port, address)
    other.start()
    try:
        yield other
    finally:
        other.stop()
    expect_undisturbed(ingest, other)


def expect_undisturbed(ingest: Ingest, other: Bystander) -> None:
    """All mails were taken, greetings came in time, and memory stayed within its bound."""
    peak = ingest.peak_memory()
    assert not other.troubles
    print(
        f"{len(other.greetings)} greetings, 95 % within {other.slowest:.3f} s, "
        f"all within {max(other.greetings):.3f} s; peak {peak / MIB:.0f} MiB"
    )
    refused = [reply for reply in other.replies if not reply.startswith("250 2.0.0 queued as ")]
    assert not refused
    assert other.slowest < GREETED
    assert max(other.greetings) < _HICCUP
    assert peak < MEMORY
