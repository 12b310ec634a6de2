"""Ends the stack when the process that it was started for is gone, however that ended.

Runs under the supervisor: `python -m conduit_local.tether <process id>`.
"""

import os
import signal
import sys
import time

_INTERVAL = 0.3


def main(owner: int) -> None:
    """Wait until the owner is gone, then tell the supervisor to stop everything."""
    while _alive(owner):
        time.sleep(_INTERVAL)
    os.kill(os.getppid(), signal.SIGTERM)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]))
