"""The local stack from the command line: `python -m conduit_local up|down|run|status|logs|demo`."""

import argparse
import sys

from conduit_local import commands, demo
from conduit_local.errors import StackError

_COMMANDS = {
    "up": commands.up,
    "down": commands.down,
    "run": commands.run,
    "status": commands.status,
    "logs": commands.logs,
    "demo": demo.main,
}


def main() -> int:
    """Run one command; a failure is one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m conduit_local", description=__doc__)
    commands_help = "; ".join(f"{name}: {do.__doc__}" for name, do in _COMMANDS.items())
    parser.add_argument("command", choices=_COMMANDS, metavar="command", help=commands_help)
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
