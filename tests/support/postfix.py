"""A Postfix of one's own in a temporary directory, for as long as it is needed.

Nothing of it is left when it has stopped, and an installed one is not touched.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conduit_local import probes

_DAEMONS = Path("/usr/lib/postfix/sbin")
_START_SECONDS = 20
_STOP_SECONDS = 20

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
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
smtpd_peername_lookup = no
{settings}
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
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
{services}
"""

_RELAY = """\
relayhost = [127.0.0.1]:{port}
smtp_tls_security_level = encrypt
smtputf8_enable = yes
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
notify_classes =
debug_peer_list = 127.0.0.1
debug_peer_level = 1
"""
"""Any certificate will do, but TLS it must be. Deferred mail is tried again soon. What is said to
each server is written to the log."""

_RELAY_SERVICES = """\
smtp unix - - n - - smtp
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
"""


class PostfixFailed(Exception):
    """It cannot be started, or does not do as it is told."""


class Postfix:
    """A running instance: its directory, and the port on which it takes mail."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    @property
    def log(self) -> Path:
        """The file in which it tells the way of each mail."""
        return self.directory / "log" / "maillog"

    @property
    def pid(self) -> int:
        """The process id of its master."""
        return int((self.directory / "queue" / "pid" / "master.pid").read_text())


def check() -> None:
    """Raise PostfixFailed, with the reason, where Postfix cannot be started."""
    if not shutil.which("postfix", path="/usr/sbin:/usr/local/sbin") or not _DAEMONS.exists():
        raise PostfixFailed("Postfix is missing: install Debian's postfix")
    if os.geteuid() != 0:
        raise PostfixFailed("Postfix can be started by root only: run this as root")


@contextmanager
def running(port: int, settings: str, services: str) -> Iterator[Postfix]:
    """Run an instance on this port of the loopback address until the end of the block.

    `settings` and `services` are what it has in main.cf and master.cf beyond what all have.
    """
    check()
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        postfix = Postfix(Path(name), port)
        _write(postfix, settings, services)
        _command(postfix, "start")
        try:
            _wait_until_it_answers(port)
            yield postfix
        finally:
            pid = postfix.pid
            _command(postfix, "stop")
            _wait_until_gone(pid)


@contextmanager
def relay(port: int, target: int) -> Iterator[Postfix]:
    """Run an instance that sends all mail on to the server on another port, over TLS."""
    with running(port, _RELAY.format(port=target), _RELAY_SERVICES) as postfix:
        yield postfix


def _write(postfix: Postfix, settings: str, services: str) -> None:
    directory = postfix.directory
    directory.chmod(0o711)  # its processes are another user's
    for name in ("etc", "queue", "data", "log"):
        (directory / name).mkdir()
    shutil.chown(directory / "data", "postfix")
    main = _MAIN.format(directory=directory, daemons=_DAEMONS, settings=settings)
    (directory / "etc" / "main.cf").write_text(main)
    master = _MASTER.format(port=postfix.port, services=services)
    (directory / "etc" / "master.cf").write_text(master)


def _command(postfix: Postfix, verb: str) -> None:
    done = subprocess.run(
        ["/usr/sbin/postfix", "-c", str(postfix.directory / "etc"), verb],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise PostfixFailed(f"postfix {verb} failed: {done.stderr.strip()}")


def _wait_until_it_answers(port: int) -> None:
    probe, deadline = probes.tcp(port), time.monotonic() + _START_SECONDS
    while missing := probe():
        if time.monotonic() > deadline:
            raise PostfixFailed(f"Postfix does not answer: {missing}")
        time.sleep(0.05)


def _wait_until_gone(pid: int) -> None:
    """Return when the group of processes is empty: none may write where all is removed next."""
    deadline = time.monotonic() + _STOP_SECONDS
    while _group_exists(pid):
        if time.monotonic() > deadline:
            raise PostfixFailed("Postfix did not stop")
        time.sleep(0.05)


def _group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True
