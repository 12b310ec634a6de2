"""Clients that only POST, as references for the dispatcher: `… KIND URL CALLS CONNECTIONS SIZE`.

`aiohttp` is a bare loop over aiohttp's client as it comes, `octets` writes ready-made requests and
waits for some answer, which shows what the endpoint can take. Prints the seconds that it took, and
the CPU seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import uvloop

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "Conduit/0.0.0",
    "webhook-id": "dlv_01k9zzzzzzzzzzzzzzzzzzzzzz",
    "webhook-timestamp": "1790000000",
    "webhook-signature": f"v1,{'s' * 44}",
    "X-Conduit-Signature": f"sha256={'s' * 64}",
}


async def by_aiohttp(url: str, body: bytes, calls: Iterator[int], connections: int) -> None:
    async def post(session: aiohttp.ClientSession) -> None:
        for _ in calls:
            async with session.post(url, data=body, headers=HEADERS) as response:
                await response.read()
                assert response.status == 200

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(post(session) for _ in range(connections)))


async def by_octets(url: str, body: bytes, calls: Iterator[int], connections: int) -> None:
    target = urlsplit(url)
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\n{fields}"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast(asyncio.WriteTransport, transport)
            self._transport.write(request)

        def data_received(self, data: bytes) -> None:
            assert data.startswith(b"HTTP/1.1 200 ")
            if next(calls, None) is None:
                done.set()
            else:
                self._transport.write(request)

    for _ in range(connections):
        await loop.create_connection(Connection, str(target.hostname), target.port or 80)
    await done.wait()


def main(kind: str, url: str, calls: int, connections: int, size: int) -> None:
    """Call, and print what it took."""
    caller = {"aiohttp": by_aiohttp, "octets": by_octets}[kind]
    started = time.monotonic(), time.process_time()
    uvloop.run(caller(url, b"x" * size, iter(range(calls)), connections))
    took = [time.monotonic() - started[0], time.process_time() - started[1]]
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
