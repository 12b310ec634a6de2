"""CPU time that processes have taken, from /proc: of a server with its children, and of all."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_INTERVAL = 0.2
_QUIET_SHARE = 0.1


def of_trees(roots: Iterable[int]) -> float:
    """Return the seconds of these processes and their descendants, those that ended included."""
    wanted, seconds = set(roots), 0.0
    processes = sorted(_processes())
    while found := [process for process in processes if wanted & {process[0], process[1]}]:
        # Children may have lower ids than their parents, so one pass is not enough.
        processes = [process for process in processes if process not in found]
        wanted |= {pid for pid, _, _ in found}
        seconds += sum(taken for _, _, taken in found)
    return seconds


def of_machine() -> float:
    """Return the seconds that all CPUs together have been busy since the start."""
    user, nice, system, _idle, _iowait, *interrupts = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / _TICKS


def wait_until_quiet(roots: Iterable[int], within: float = 30) -> None:
    """Return when these have nothing left to do of what they were given, or when time is up."""
    trees, deadline = list(roots), time.monotonic() + within
    before = of_trees(trees)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_INTERVAL)
        now = of_trees(trees)
        if now - before <= _QUIET_INTERVAL * _QUIET_SHARE:
            return
        before = now


def _processes() -> list[tuple[int, int, float]]:
    """Return process id, parent and seconds of each; waited-for children count as their parent."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text()
        except OSError:  # it has just ended
            continue
        fields = stat.rpartition(")")[2].split()
        found.append((int(directory.name), int(fields[1]), sum(map(int, fields[11:15])) / _TICKS))
    return found
