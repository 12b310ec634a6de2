"""The operators' port of a service: `/healthz`, `/readyz` and `/metrics`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from conduit.telemetry.metrics import CONTENT_TYPE, exposition

Check = Callable[[], Awaitable[bool]]

_CHECK_SECONDS = 0.8  # below the second that those who ask commonly wait


class Health:
    """Answers whether the service lives and whether each neighbour that it needs is there.

    A service that is starting has no checks yet and is not ready.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._started = False

    def add(self, name: str, check: Check) -> None:
        """Make readiness depend on `check`; one that takes too long has not passed."""
        self._checks[name] = check

    def started(self) -> None:
        """Everything is constructed; from now on the checks alone decide."""
        self._started = True

    def stopping(self) -> None:
        """Not ready any more, so that no new work is sent here."""
        self._started = False

    async def status(self) -> Mapping[str, bool]:
        """Return each check's name and whether it passed."""
        checks = dict(self._checks)  # others may be added meanwhile, at the start
        passed = await asyncio.gather(*map(_passed, checks.values()))
        return {"started": self._started, **dict(zip(checks, passed, strict=True))}


async def _passed(check: Check) -> bool:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return False


@asynccontextmanager
async def serve_health(
    health: Health, host: str, port: int, *, shared: bool = False
) -> AsyncIterator[None]:
    """Serve the operators' port. `shared`: several processes of one service listen on it."""
    runner = web.AppRunner(_application(health), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=shared or None).start()
        yield
    finally:
        await runner.cleanup()


def _application(health: Health) -> web.Application:

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        status = await health.status()
        return web.Response(
            body=orjson.dumps(status),
            content_type="application/json",
            status=200 if all(status.values()) else 503,
        )

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return app
