"""Postfix as a reference: an instance of its own, all limits off, that discards what it queued.

What it does for a mail: smtpd → cleanup → queue file, synced → reply; then qmgr → discard. It
writes its log, as the way of each mail is checked there.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import postfix as instances
from tests.support.postfix import PostfixFailed

_LOGGED = {
    "/smtpd[": ": client=",
    "/cleanup[": ": message-id=",
    "/discard[": ", status=sent (",
    "/qmgr[": ": removed",
}
"""What each process writes once about a mail, the last one last."""

_SETTINGS = """\
default_transport = discard
relay_transport = discard
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
in_flow_delay = 0
default_process_limit = 300
message_size_limit = 26214400
"""

_SERVICES = "discard unix - - n - - discard"


class Postfix:
    """A running instance."""

    def __init__(self, instance: instances.Postfix) -> None:
        self._instance = instance
        self._seen = 0

    @property
    def directory(self) -> Path:
        """Where all its files are."""
        return self._instance.directory

    @property
    def pid(self) -> int:
        """The process id of its master."""
        return self._instance.pid

    def wait_until_discarded(self, mails: int, within: float = 120) -> None:
        """Return when so many mails more have gone the whole way; end the run if they do not."""
        deadline = time.monotonic() + within
        while (passed := self._passed())["/qmgr["] < mails:
            if time.monotonic() > deadline:
                sys.exit(f"Postfix has not discarded {mails} mails in time: {passed}")
            time.sleep(0.1)
        if set(passed.values()) != {mails}:
            sys.exit(f"of {mails} mails not each went through all of Postfix: {passed}")
        self.forget()

    def _passed(self) -> dict[str, int]:
        """Return how many mails each process has logged since the last time."""
        with self._instance.log.open(errors="replace") as file:
            file.seek(self._seen)
            lines = file.readlines()
        return {
            process: sum(process in line and mark in line for line in lines)
            for process, mark in _LOGGED.items()
        }

    def forget(self) -> None:
        """Do not count what was logged so far."""
        self._seen = self._instance.log.stat().st_size


@contextmanager
def postfix(port: int) -> Iterator[Postfix]:
    """Run an instance on this port of the loopback address until the end of the block."""
    try:
        with instances.running(port, _SETTINGS, _SERVICES) as instance:
            yield Postfix(instance)
    except PostfixFailed as error:
        sys.exit(str(error))


def version() -> str:
    """Return Postfix's version."""
    return subprocess.run(
        ["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=True
    ).stdout.strip()


def check() -> None:
    """End the run, with the reason, where Postfix cannot be started."""
    try:
        instances.check()
    except PostfixFailed as error:
        sys.exit(f"{error}, or leave it out by --servers")
