"""Processes that belong to a stack, found by a mark in their environment."""

import os
import signal
import time
from pathlib import Path

MARK = "_CONDUIT_STACK"
_INTERVAL = 0.05


def of_stack(data_dir: Path) -> tuple[int, ...]:
    """Return the ids of all processes that run for the stack of this data directory."""
    wanted = f"{MARK}={data_dir}".encode()
    return tuple(
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if wanted in _environment(entry).split(b"\0")
    )


def end(data_dir: Path, grace: float) -> None:
    """Tell what is left of a stack to end, and kill what has not ended in `grace` seconds."""
    deadline = time.monotonic() + grace
    _send(of_stack(data_dir), signal.SIGTERM)
    while of_stack(data_dir) and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    while left := of_stack(data_dir):
        _send(left, signal.SIGKILL)
        time.sleep(_INTERVAL)


def _environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:  # it has just ended, or belongs to somebody else
        return b""


def _send(processes: tuple[int, ...], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue
