"""Connections of this machine, as its system has them."""

from pathlib import Path


def peers() -> set[int]:
    """Return the ports that connections on this machine lead to, half-closed ones too."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(row.split()[2].partition(":")[2], 16) for row in rows}
