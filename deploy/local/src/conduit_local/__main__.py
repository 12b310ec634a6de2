"""The local stack from the command line."""

import argparse
import sys

from conduit_local import commands, demo, endpoint
from conduit_local.errors import StackError

_COMMANDS = {
    "up": commands.up,
    "down": commands.down,
    "run": commands.run,
    "status": commands.status,
    "logs": commands.logs,
    "receive": endpoint.main,
    "demo": demo.main,
}


def main() -> int:
    """Run one command; a failure is one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m conduit_local", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, command in _COMMANDS.items():
        subparsers.add_parser(name, help=command.__doc__)
    arguments = parser.parse_args()
    try:
        _COMMANDS[arguments.command]()
    except StackError as error:
        print(f"conduit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
