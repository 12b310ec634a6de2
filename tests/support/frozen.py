"""Freezing a process: SIGSTOP reaches its threads one after another, so one has to wait for it."""

import time
from pathlib import Path

_SECONDS = 10


def wait_until_stopped(pid: int) -> None:
    """Return when all threads of a process are stopped."""
    deadline = time.monotonic() + _SECONDS
    while not all(state in "Tt" for state in _states(pid)):
        assert time.monotonic() < deadline, f"process {pid} did not stop in {_SECONDS} s"
        time.sleep(0.005)


def _states(pid: int) -> list[str]:
    """Return the state of each thread, the field after the name in parentheses (proc(5))."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]
