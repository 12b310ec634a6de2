"""Run the dispatcher: `python -m conduit_dispatcher`."""

import sys

from conduit.service import run
from conduit.settings import load_or_exit
from conduit_dispatcher.app import compose
from conduit_dispatcher.settings import DispatcherSettings

if __name__ == "__main__":
    sys.exit(run("dispatcher", compose, load_or_exit(DispatcherSettings)))
