"""Servers that speak MongoDB's protocol, each on a free port and a directory of its own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from conduit_local import probes, programs
from conduit_local.ports import LOOPBACK, Ports
from tests.support.frozen import wait_until_stopped

_SECANTUSD_RS = Path(__file__).parents[3] / "shared/secantusdb/secantusd-rs"
_START_SECONDS = 30

Command = Callable[[Path, Ports], tuple[str, ...]]


def _embedded(directory: Path, ports: Ports) -> tuple[str, ...]:
    programs.prepare_store(directory)
    return programs.store(directory, ports).command


def _secantusd_rs(directory: Path, ports: Ports) -> tuple[str, ...]:
    address = ("--host", LOOPBACK, "--port", str(ports.store), "--storage-path", str(directory))
    options = ("--standalone", "--sync-on-commit", "--cache-size", "256M")
    return (str(_SECANTUSD_RS), *address, *options)


def _mongod(directory: Path, ports: Ports) -> tuple[str, ...]:
    address = ("--bind_ip", LOOPBACK, "--port", str(ports.store), "--dbpath", str(directory))
    return ("mongod", *address, "--quiet")


def at_hand() -> Mapping[str, Command]:
    """Return the servers that can be started here; the embedded one is always among them."""
    return {
        "embedded": _embedded,
        **({"secantusd-rs": _secantusd_rs} if _SECANTUSD_RS.exists() else {}),
        **({"mongod": _mongod} if shutil.which("mongod") else {}),
    }


class StoreServer:
    """One server, to be mistreated."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._ports = Ports.free()
        self._command = at_hand()[kind](directory, self._ports)
        self._log = directory.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"mongodb://{LOOPBACK}:{self._ports.store}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Its directory is not used again, so nothing is gained by an orderly stop, which is slow.
        self.kill()

    def start(self) -> None:
        """Start it; returns when it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        probe = probes.tcp(self._ports.store)
        deadline = time.monotonic() + _START_SECONDS
        while (missing := probe()) is not None:
            ended = self._process.poll() is not None
            assert not ended, f"{self._command[0]} ended: {self._log.read_text()[-1000:]}"
            assert time.monotonic() < deadline, missing
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """Let it neither answer nor close connections, until `thaw`."""
        assert self._process is not None
        self._signal(signal.SIGSTOP)
        wait_until_stopped(self._process.pid)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
