"""Stacks for tests: one on a busy machine, and one more replica beside another's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conduit_local.stack import Stack

_READY_SECONDS = 180


@contextmanager
def patiently(stack: Stack) -> Iterator[Stack]:
    """Start a stack, however long that takes on a machine that has other things to do."""
    try:
        stack.start()
        stack.wait_ready(_READY_SECONDS)
        yield stack
    finally:
        stack.stop()


def dispatcher_beside(stack: Stack, directory: Path) -> Stack:
    """Return a stack that is one dispatcher, on another stack's queues, store, keys and settings.

    It is not started yet; the supervisor of its own brings it back when it is killed.
    """
    settings = {
        name: value for name, value in stack.plan.environment.items() if name.startswith("CONDUIT_")
    }
    return Stack.isolated(directory, ["dispatcher"], settings)
