"""The service as a process: bad settings, an absent neighbour, and the ordered stop."""

import asyncio
import os
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import ClientConnectionError, ClientSession

from conduit_local.environment import without_settings
from conduit_local.ports import LOOPBACK, Ports
from conduit_local.stack import Stack
from tests.support.polling import PATIENCE, eventually

KEY = f"k1:{b64encode(bytes(32)).decode()}"


def environment(ports: Ports, **changes: str) -> dict[str, str]:
    return {
        **without_settings(os.environ),
        **ports.variables(),
        "CONDUIT_ENCRYPTION_KEYS": KEY,
        "CONDUIT_TOKEN_KEYS": KEY,
        "CONDUIT_MONGODB_URL": f"mongodb://{LOOPBACK}:{ports.store}",
        "CONDUIT_AMQP_URL": f"amqp://guest:guest@{LOOPBACK}:{ports.amqp}/",
        **changes,
    }


@asynccontextmanager
async def service(
    variables: Mapping[str, str], log: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service; it is killed if the test has not ended it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "conduit_api", env=variables, stderr=log
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_bad_setting_is_told_in_one_line() -> None:
    async with service(environment(Ports.free(), CONDUIT_TOKEN_KEYS="k1:short")) as process:
        code, errors = await ended(process)
    assert code == 2
    assert errors.count("\n") == 1
    assert "CONDUIT_TOKEN_KEYS" in errors


async def test_without_its_neighbours_the_service_waits_and_stops_when_told() -> None:
    ports = Ports.free()
    operators = f"http://{LOOPBACK}:{ports.api_metrics}"

    async def status(http: ClientSession, path: str) -> int | None:
        try:
            async with http.get(f"{operators}/{path}") as response:
                return response.status
        except ClientConnectionError:
            return None

    async with (
        service(environment(ports, CONDUIT_STORE_TIMEOUT="1")) as process,
        ClientSession() as http,
    ):
        await eventually(lambda: status(http, "healthz"), what="/healthz")
        assert await status(http, "readyz") == 503
        process.send_signal(signal.SIGTERM)
        code, errors = await ended(process)
    assert code == 0
    assert '"event":"service.stopped"' in errors


async def answers(http: ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 200
    except ClientConnectionError:
        return False


def neighbours(stack: Stack) -> dict[str, str]:
    return {"CONDUIT_MONGODB_URL": stack.urls.mongodb, "CONDUIT_AMQP_URL": stack.urls.amqp}


@asynccontextmanager
async def serving(stack: Stack, **changes: str) -> AsyncIterator[str]:
    """Run another API service of the stack, with these settings; yield the URL of its document."""
    ports = Ports.free()
    url = f"http://{LOOPBACK}:{ports.api}/api/v1/openapi.json"
    variables = environment(ports, **neighbours(stack), **changes)
    async with service(variables, asyncio.subprocess.DEVNULL), ClientSession() as http:
        await eventually(lambda: answers(http, url), what="the API")
        yield url


async def test_the_stop_does_not_wait_for_idle_connections(stack: Stack) -> None:
    ports = Ports.free()
    url = f"http://{LOOPBACK}:{ports.api}/api/v1/openapi.json"
    variables = environment(ports, **neighbours(stack))
    async with service(variables) as process, ClientSession() as http:
        await eventually(lambda: answers(http, url), what="the API")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            code, errors = await ended(process)
    assert code == 0
    assert KEY.partition(":")[2] not in errors
