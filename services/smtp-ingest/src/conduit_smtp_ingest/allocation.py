"""How memory that is free goes back to the system.

The C library learns from each large block that is freed to put the next one of its size among the
small ones, which then keep it from going back. Many mails that grow at a time, side by side with
what is read of them, so take half as much again as there is in them.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT = 1024 * 1024  # free octets that are not worth a system call
_BLOCK = 64 * 1024  # octets from which on a block is by itself, as it is at the start


def keep_large_blocks_apart() -> None:
    """Stop that learning; a C library without such a switch does not learn."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BLOCK)
        mallopt(_TRIM_THRESHOLD, _KEPT)
