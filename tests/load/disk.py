"""The disk that durable mail waits for: which file system it is, and what a sync takes there."""

import os
import statistics
import time
from pathlib import Path

_SYNCS = 100


def described(directory: Path) -> str:
    """Return the file system of a directory, and the median time of a 4 KB write with fsync."""
    return f"{_file_system(directory)}, {_sync_milliseconds(directory):.2f} ms for 4 KB and fsync"


def _file_system(directory: Path) -> str:
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == wanted:
            return line.partition(" - ")[2].split()[0]
    return "unknown file system"


def _sync_milliseconds(directory: Path) -> float:
    file, seconds = directory / "synced", []
    with file.open("wb", buffering=0) as out:
        for _ in range(_SYNCS):
            begun = time.perf_counter()
            out.write(b"x" * 4096)
            os.fsync(out.fileno())
            seconds.append(time.perf_counter() - begun)
    file.unlink()
    return 1000 * statistics.median(seconds)
