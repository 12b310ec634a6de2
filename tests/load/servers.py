"""Servers for benchmarks: programs that are started for one run, and the store they work with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conduit_local import probes
from conduit_local.ports import Ports
from conduit_local.programs import ALL

ROOT = Path(__file__).parents[2]
SECANTUSD_RS = ROOT.parent / "shared" / "secantusdb" / "secantusd-rs"


@contextmanager
def store(directory: Path) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """Start secantusd-rs where it is at hand; yield name, settings and programs of the stack."""
    if not SECANTUSD_RS.exists():
        yield "embedded", {}, list(ALL)
        return
    with secantusd_rs(directory) as (url, _):
        programs = [name for name in ALL if name != "store"]
        yield "secantusd-rs", {"CONDUIT_MONGODB_URL": url}, programs


@contextmanager
def secantusd_rs(directory: Path) -> Iterator[tuple[str, int]]:
    """Run secantusd-rs until the end of the block; yield its URL and its process id."""
    port = Ports.free().store
    storage = directory / "secantusd"
    storage.mkdir()
    options = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(storage)]
    options += ["--standalone", "--sync-on-commit", "--cache-size", "256M"]
    with started([str(SECANTUSD_RS), *options], port) as pid:
        yield f"mongodb://127.0.0.1:{port}", pid


@contextmanager
def module(name: str, *arguments: str, port: int) -> Iterator[int]:
    """Run one of our modules until the end of the block; yield its process id."""
    with started([sys.executable, "-m", name, *arguments], port) as pid:
        yield pid


@contextmanager
def started(command: list[str], port: int) -> Iterator[int]:
    """Run a server until the end of the block; it must answer within ten seconds."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    probe, deadline = probes.tcp(port), time.monotonic() + 10
    try:
        while probe():
            if time.monotonic() > deadline or process.poll() is not None:
                sys.exit(f"{command[0]} does not answer on port {port}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
