"""Load from Postfix's smtp-source, which costs little beside the servers that it drives."""

import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT = 120.0  # seconds


class Refused(Exception):
    """The server did not take all mails."""


@dataclass(frozen=True)
class Load:
    """What is sent in one turn: the same octets again and again."""

    file: Path
    mails: int
    connections: int
    kept: bool
    sender: str
    helo: str


@dataclass(frozen=True)
class Sent:
    """How long it took, in seconds, and the CPU time that smtp-source needed for it."""

    seconds: float
    cpu: float


def write(file: Path, mail: bytes) -> None:
    """Write a mail as smtp-source wants it: it ends the lines by CRLF itself."""
    file.write_bytes(mail.replace(b"\r\n", b"\n"))


def send(load: Load, port: int, recipient: str) -> Sent:
    """Send the mails as fast as they are taken, or raise Refused."""
    cpu, begun = _children_cpu(), time.monotonic()
    try:
        done = subprocess.run(
            [
                *(_program(), *(["-d"] if load.kept else [])),
                *("-s", str(load.connections), "-m", str(load.mails), "-F", str(load.file)),
                *("-M", load.helo, "-f", load.sender, "-t", recipient, f"127.0.0.1:{port}"),
            ],
            capture_output=True,
            check=False,
            text=True,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"not done within {_TIMEOUT:g} s") from None
    if done.returncode:
        raise Refused(" ".join(done.stderr.split("fatal: ")[-1].split()))
    return Sent(time.monotonic() - begun, _children_cpu() - cpu)


def _program() -> str:
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        sys.exit("smtp-source is missing: install Debian's postfix")
    return program


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
