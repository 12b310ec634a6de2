"""Bare aiohttp with a handler that answers a constant, as a reference: `… PORT`."""

import sys

import uvloop
from aiohttp import web


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


def main(port: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_get("/", _nothing)
    loop = uvloop.new_event_loop()  # as the services have
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main(int(sys.argv[1]))
