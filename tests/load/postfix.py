"""Postfix as a reference: an instance of its own, all limits off, that discards what it queued.

Nothing of it is left when it has stopped, and an installed one is not touched. What it does for a
mail: smtpd → cleanup → queue file, synced → reply; then qmgr → discard. It writes its log, as the
way of each mail is checked there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conduit_local import probes

_DAEMONS = Path("/usr/lib/postfix/sbin")
_START_SECONDS = 20
_STOP_SECONDS = 20
_LOGGED = {
    "/smtpd[": ": client=",
    "/cleanup[": ": message-id=",
    "/discard[": ", status=sent (",
    "/qmgr[": ": removed",
}
"""What each process writes once about a mail, the last one last."""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/log/maillog
maillog_file_prefixes = {directory}
myhostname = postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
default_transport = discard
relay_transport = discard
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
in_flow_delay = 0
default_process_limit = 300
message_size_limit = 26214400
"""

# No service in a chroot: its files would have to be copied there.
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
"""


class Postfix:
    """A running instance."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "log" / "maillog"
        self._queue = directory / "queue"
        self._seen = 0
        self.directory = directory

    @property
    def pid(self) -> int:
        """The process id of its master."""
        return int((self._queue / "pid" / "master.pid").read_text())

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
        with self._log.open(errors="replace") as file:
            file.seek(self._seen)
            lines = file.readlines()
        return {
            process: sum(process in line and mark in line for line in lines)
            for process, mark in _LOGGED.items()
        }

    def forget(self) -> None:
        """Do not count what was logged so far."""
        self._seen = self._log.stat().st_size


@contextmanager
def postfix(port: int) -> Iterator[Postfix]:
    """Run an instance on this port of the loopback address until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        directory = Path(name)
        _write(directory, port)
        running = Postfix(directory)
        _command(directory, "start")
        try:
            _wait_until_it_answers(port)
            yield running
        finally:
            pid = running.pid
            _command(directory, "stop")
            _wait_until_gone(pid)


def version() -> str:
    """Return Postfix's version."""
    return subprocess.run(
        ["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=True
    ).stdout.strip()


def check() -> None:
    """End the run, with the reason, where Postfix cannot be started."""
    if not shutil.which("postfix") or not _DAEMONS.exists():
        sys.exit("Postfix is missing: install Debian's postfix, or leave it out by --servers")
    if os.geteuid() != 0:
        sys.exit("Postfix can be started by root only: run this as root, or see --servers")


def _write(directory: Path, port: int) -> None:
    directory.chmod(0o711)  # its processes are another user's
    for name in ("etc", "queue", "data", "log"):
        (directory / name).mkdir()
    shutil.chown(directory / "data", "postfix")
    (directory / "etc" / "main.cf").write_text(_MAIN.format(directory=directory, daemons=_DAEMONS))
    (directory / "etc" / "master.cf").write_text(_MASTER.format(port=port))


def _command(directory: Path, verb: str) -> None:
    done = subprocess.run(
        ["postfix", "-c", str(directory / "etc"), verb],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if done.returncode:
        sys.exit(f"postfix {verb} failed: {done.stderr.strip()}")


def _wait_until_it_answers(port: int) -> None:
    probe, deadline = probes.tcp(port), time.monotonic() + _START_SECONDS
    while missing := probe():
        if time.monotonic() > deadline:
            sys.exit(f"Postfix does not answer: {missing}")
        time.sleep(0.05)


def _wait_until_gone(pid: int) -> None:
    """Return when the group of processes is empty: none may write where all is removed next."""
    deadline = time.monotonic() + _STOP_SECONDS
    while _group_exists(pid):
        if time.monotonic() > deadline:
            sys.exit("Postfix did not stop")
        time.sleep(0.05)


def _group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True
