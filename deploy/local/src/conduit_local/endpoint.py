"""The receiver as a command: an endpoint to try webhooks with."""

import asyncio

from conduit_local.errors import PortTaken
from conduit_local.output import show_call, title
from conduit_local.receiver import Receiver

_PORT = 9000


def main() -> None:
    """Take webhook calls on port 9000 and print each, until Ctrl-C."""
    asyncio.run(_show_calls(Receiver(_PORT)))


async def _show_calls(receiver: Receiver) -> None:
    try:
        await receiver.open()
    except OSError as error:
        raise PortTaken(f"port {_PORT} is taken by another process") from error
    print(f"Any path below {receiver.url} takes webhook calls; Ctrl-C ends it.", flush=True)
    shown = 0
    try:
        while True:
            calls = await receiver.wait_for(shown + 1, timeout=None)
            for call in calls[shown:]:
                title(f"call {shown + 1}")
                show_call(call)
                shown += 1
    finally:
        await receiver.close()
