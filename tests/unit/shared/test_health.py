"""The operators' port."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from conduit.telemetry import health as module
from conduit.telemetry.health import Health, serve_health
from conduit_local.ports import LOOPBACK, Ports


async def here() -> bool:
    return True


async def away() -> bool:
    return False


async def hangs() -> bool:
    await asyncio.Event().wait()
    return True


@pytest.fixture
def health() -> Health:
    return Health()


async def test_a_service_is_ready_when_it_has_started_and_all_checks_pass(health: Health) -> None:
    assert await health.status() == {"started": False}
    health.add("store", here)
    assert await health.status() == {"started": False, "store": True}
    health.started()
    assert await health.status() == {"started": True, "store": True}
    health.add("bus", away)
    assert await health.status() == {"started": True, "store": True, "bus": False}
    health.stopping()
    assert (await health.status())["started"] is False


async def test_a_check_may_be_added_while_others_are_made(health: Health) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        asked.set()
        return await go_on.wait()

    health.add("slow", slow)
    status = asyncio.ensure_future(health.status())
    await asked.wait()
    health.add("late", here)
    go_on.set()
    assert await status == {"started": False, "slow": True}


async def test_checks_that_hang_have_not_passed_and_are_not_waited_for_one_by_one(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.05)
    for number in range(20):
        health.add(f"hangs {number}", hangs)
    health.add("here", here)
    async with asyncio.timeout(0.9):
        status = await health.status()
    assert status["here"]
    assert sum(status.values()) == 1


@pytest.fixture
async def url(health: Health) -> AsyncIterator[str]:
    port = Ports.free().api_metrics
    async with serve_health(health, LOOPBACK, port):
        yield f"http://{LOOPBACK}:{port}"


async def test_the_pages(health: Health, url: str) -> None:
    async with ClientSession() as http:

        async def get(path: str) -> tuple[int, str, str]:
            async with http.get(url + path) as answer:
                return answer.status, answer.content_type, await answer.text()

        assert await get("/healthz") == (200, "text/plain", "ok\n")
        assert await get("/readyz") == (503, "application/json", '{"started":false}')
        health.started()
        assert await get("/readyz") == (200, "application/json", '{"started":true}')
        health.add("bus", away)
        assert await get("/readyz") == (
            503,
            "application/json",
            '{"started":true,"bus":false}',
        )
        status, content_type, metrics = await get("/metrics")
        assert (status, content_type) == (200, "text/plain")
        assert "# HELP python_info" in metrics
        assert (await get("/other"))[0] == 404
