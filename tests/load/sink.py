"""An endpoint that costs as little as one in Python can, in a process of its own: `… PORT`.

It answers 200 without a body to each POST that has a Content-Length, as all of ours do, and looks
into nothing else.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class _Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._seen = bytearray()
        self._transport = asyncio.WriteTransport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (header := self._seen.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._seen, 0, header + 2)
            assert length is not None, "a POST without Content-Length"
            end = header + 4 + int(length[1])
            if len(self._seen) < end:
                return
            del self._seen[:end]
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Sink, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
