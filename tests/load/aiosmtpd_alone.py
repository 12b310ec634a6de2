"""Bare aiosmtpd with a handler that does nothing, as a reference: `… PORT [uvloop]`."""

import asyncio
import sys

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Nothing:
    """Says 250 to every mail and forgets it."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept."""
        return "250 OK"


async def main(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    handler = Nothing()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1",
        port,
        backlog=1024,
    )
    await server.serve_forever()


if __name__ == "__main__":
    run = uvloop.run if sys.argv[2:] == ["uvloop"] else asyncio.run
    run(main(int(sys.argv[1])))
