"""The verifier as a process: ready, measured, stopped in order, clear about settings."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from conduit.settings import BusSettings, StoreSettings
from conduit_local.ports import Ports
from tests.integration.verifier.conftest import Claimant
from tests.support.dns import DnsServer
from tests.support.polling import eventually


@asynccontextmanager
async def verifier(**settings: str) -> AsyncIterator[Process]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONDUIT_")}
    environment |= {f"CONDUIT_{name.upper()}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "conduit_verifier", env=environment, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_gets_ready_answers_logs_and_stops_in_order(
    bus_settings: BusSettings,
    store_settings: StoreSettings,
    dns_server: DnsServer,
    claimant: Claimant,
) -> None:
    port = Ports.free().verifier_metrics
    claim = await claimant.claim()
    claimant.publish(claim)
    async with (
        verifier(
            amqp_url=bus_settings.amqp_url,
            mongodb_url=store_settings.mongodb_url,
            mongodb_database=store_settings.mongodb_database,
            dns_servers=dns_server.address,
            verifier_metrics_port=str(port),
        ) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as operators,
    ):

        async def ready() -> bool:
            try:
                async with operators.get("/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready, what="readiness")
        assert (await claimant.check(claim)).problem is None
        async with operators.get("/metrics") as answer:
            sample = 'conduit_domain_checks_total{outcome="published",trigger="request"} 1.0'
            assert sample in await answer.text()
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    checked = [line for line in lines if line["event"] == "domain.checked"]
    assert len(checked) == 1
    assert checked[0]["domain_id"] == claim.id
    assert checked[0]["outcome"] == "published"
    assert lines[-1]["event"] == "service.stopped"


async def test_it_waits_for_a_broker_that_is_away_and_stops_while_it_waits(
    store_settings: StoreSettings,
) -> None:
    ports = Ports.free()
    async with (
        verifier(
            amqp_url=f"amqp://127.0.0.1:{ports.amqp}/",
            mongodb_url=store_settings.mongodb_url,
            mongodb_database=store_settings.mongodb_database,
            verifier_metrics_port=str(ports.verifier_metrics),
        ) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{ports.verifier_metrics}") as operators,
    ):

        async def waiting() -> bool:
            try:
                async with operators.get("/readyz") as answer:
                    return bool(await answer.json() == {"started": False, "store": True})
            except aiohttp.ClientConnectionError:
                return False

        await eventually(waiting, what="the wait for the broker")
        async with operators.get("/healthz") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 5)
    assert process.returncode == 0


@pytest.mark.parametrize("value", ["resolver.example:53", "127.0.0.1", "127.0.0.1:0"])
async def test_a_bad_setting_ends_it_with_one_clear_line(value: str) -> None:
    async with verifier(dns_servers=value) as process:
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert "CONDUIT_DNS_SERVERS" in errors.decode()
