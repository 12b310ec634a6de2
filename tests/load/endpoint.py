"""An endpoint for benchmarks, in a process of its own: notes when each mail arrives.

`… PORT FILE`: answers 200 to every POST, and at SIGTERM writes one line `id received_at arrived`
for each (seconds since the epoch) to FILE.
"""

import asyncio
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import uvloop
from aiohttp import web

_RECEIVED_AT = re.compile(rb'"received_at":"([^"]+)"')


Arrivals = list[tuple[str, bytes, float]]


async def serve(port: int) -> Arrivals:
    """Serve until SIGTERM; return what arrived."""
    arrivals: Arrivals = []

    async def receive(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        arrivals.append((request.headers["webhook-id"], body, time.time()))
        return web.Response()

    runner = web.ServerRunner(web.Server(receive, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await runner.cleanup()
    return arrivals


def _line(identifier: str, body: bytes, arrived: float) -> str:
    found = _RECEIVED_AT.search(body)
    received = datetime.fromisoformat(found[1].decode()).timestamp() if found else float("nan")
    return f"{identifier} {received:.3f} {arrived:.3f}\n"


if __name__ == "__main__":
    lines = (_line(*arrival) for arrival in uvloop.run(serve(int(sys.argv[1]))))
    Path(sys.argv[2]).write_text("".join(lines))
