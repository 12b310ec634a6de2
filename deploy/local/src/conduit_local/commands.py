"""What `python -m conduit_local …` does for the person at the keyboard."""

import os
import signal
import sys
import time
from pathlib import Path

from conduit_local import plan as plans
from conduit_local import processes
from conduit_local.errors import AlreadyRunning, NotRunning, StackError
from conduit_local.stack import LEFTOVER_GRACE, Stack
from conduit_local.urls import Urls

# deploy/local/src/conduit_local/commands.py
_ROOT = Path(__file__).resolve().parents[4]
_POLL_SECONDS = 1


def data_dir() -> Path:
    """Return the directory of the stack: CONDUIT_DATA_DIR, or .conduit in the project's root."""
    return Path(os.environ.get("CONDUIT_DATA_DIR") or _ROOT / ".conduit").resolve()


def up() -> None:
    """Start the stack in the background and print its addresses once it is ready."""
    try:
        stack = _start(tethered=False)
    except AlreadyRunning:
        stack = Stack.running(data_dir())
        stack.wait_ready()
        print("Conduit is already running.")
    else:
        print("Conduit is running.")
    print(describe(stack.urls))
    print("\n`make logs` follows its logs, `make down` stops it.")


def run() -> None:
    """Run the stack until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = _start(tethered=True)
    print(f"Conduit is running.\n{describe(stack.urls)}\n\nCtrl-C stops it.", flush=True)
    try:
        while stack.is_running():
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        print("\nStopping …", flush=True)
        return
    finally:
        _stop_undisturbed(stack)
    raise StackError(f"the stack has ended; its logs are in {stack.data_dir / 'log'}")


def down() -> None:
    """Stop the stack and return when nothing of it runs any more."""
    try:
        stack = Stack.running(data_dir())
    except NotRunning:
        print("Conduit is not running.")
        return
    stack.stop()
    print("Conduit has stopped.")


def status() -> None:
    """Print each program's state; fail unless all are ready."""
    stack = Stack.running(data_dir())
    missing = {name: stack.missing(name) for name in stack.plan.programs}
    for name, state in stack.states().items():
        print(f"{name:12} {state:9} {missing[name] or 'ready'}")
    print(describe(stack.urls))
    if any(missing.values()):
        raise StackError("not all programs are ready")


def logs() -> None:
    """Follow the logs of all programs until Ctrl-C."""
    stack = Stack.running(data_dir())
    files = [str(stack.log(name)) for name in stack.plan.programs]
    sys.stdout.flush()
    os.execvp("tail", ("tail", "-n", "20", "-F", *files))  # noqa: S606, S607


def describe(urls: Urls) -> str:
    """Return the addresses, one a line."""
    lines = {
        "API": urls.api,
        "API docs": urls.docs,
        "SMTP": urls.smtp,
        **{f"metrics, {name}": url for name, url in urls.metrics.items()},
    }
    return "\n".join(f"  {name:20} {url}" for name, url in lines.items())


def _start(*, tethered: bool) -> Stack:
    directory = data_dir()
    _refuse_if_running(directory)
    # What a crashed stack left would be taken for a broker to use.
    processes.end(directory, LEFTOVER_GRACE)
    stack = Stack(plans.from_environment(os.environ, directory), tethered=tethered)
    stack.start()
    try:
        stack.wait_ready()
    except BaseException:
        stack.stop()
        raise
    return stack


def _refuse_if_running(directory: Path) -> None:
    # Before the ports are looked at: they are rightly taken then.
    try:
        Stack.running(directory)
    except NotRunning:
        return
    raise AlreadyRunning(f"Conduit is already running (data in {directory}); `make down` stops it")


def _stop_undisturbed(stack: Stack) -> None:
    # A second Ctrl-C must not leave half a stack.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack.stop()
