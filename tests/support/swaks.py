"""swaks, as a developer sends mail with it."""

import asyncio
from urllib.parse import urlsplit

from conduit_local.stack import Stack


class Swaks:
    """Sends mail to the stack with swaks; returns its exit code and the dialogue."""

    def __init__(self, stack: Stack) -> None:
        self._server = urlsplit(stack.urls.smtp).netloc

    async def send(
        self, to: str, *options: str, sender: str = "ann@example.com"
    ) -> tuple[int, str]:
        """Send a mail with these options."""
        process = await asyncio.create_subprocess_exec(
            *("swaks", "--server", self._server, "--from", sender, "--to", to),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace")
