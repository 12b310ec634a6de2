"""One more replica of a service, beside those of a stack that runs."""

from pathlib import Path

from conduit_local.stack import Stack


def dispatcher_beside(stack: Stack, directory: Path) -> Stack:
    """Return a stack that is one dispatcher, on another stack's queues, store, keys and settings.

    It is not started yet; the supervisor of its own brings it back when it is killed.
    """
    settings = {
        name: value for name, value in stack.plan.environment.items() if name.startswith("CONDUIT_")
    }
    return Stack.isolated(directory, ["dispatcher"], settings)
