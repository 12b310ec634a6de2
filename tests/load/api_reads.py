"""Benchmark of the API's reads: one webhook, and a page of its log.

    python -m tests.load.api_reads [--logs 1000 1000000] [--seconds 4] [--rounds 3]

Prints requests/s of one API process beside bare aiohttp with an empty handler in the same run (in
turn, A B A B …), and the latency of a log page, with so many log entries over 1,000 webhooks. The
store is `secantusd-rs` in MongoDB's place where it is at hand (../shared/secantusdb), else the
embedded one. Everything runs on this machine, the client in a process of its own over kept
connections; webhooks are asked for in turn, so that no cache of one document helps.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import aiohttp

from conduit.model.delivery import Attempt, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.webhooks import Webhooks
from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.load import servers
from tests.support.user import open_user

WEBHOOKS = 1_000
CONNECTIONS = 20
BATCH = 1_000


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=int, nargs="+", default=[1_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        run(Path(directory), arguments.logs, arguments.seconds, arguments.rounds)


def run(directory: Path, sizes: Sequence[int], seconds: float, rounds: int) -> None:
    """Start the API and the reference, and measure at each size of the log."""
    port = Ports.free().api
    needed = {"store", "rabbitmq", "api"}
    with (
        servers.store(directory) as (name, settings, programs),
        servers.module("tests.load.http_alone", str(port), port=port),
        Stack.isolated(
            directory / "stack", [program for program in programs if program in needed], settings
        ) as stack,
    ):
        print(f"store: {name}; {CONNECTIONS} connections, {rounds} rounds of {seconds:g} s")
        asyncio.run(_measure(stack, f"http://127.0.0.1:{port}/", sizes, seconds, rounds))


async def _measure(
    stack: Stack, reference: str, sizes: Sequence[int], seconds: float, rounds: int
) -> None:
    async with (
        open_store(StoreSettings(mongodb_url=stack.urls.mongodb)) as store,
        open_user(stack.urls.api) as user,
    ):
        webhooks = await _webhooks(store, str((await user.webhook("https://example.com/"))["id"]))
        token = str(user._session.headers["Authorization"])
        written = 0
        for size in sizes:
            begun = time.monotonic()
            await _write_logs(store, webhooks, written, size)
            written = size
            print(f"\n{size:,} log entries over {WEBHOOKS:,} webhooks", end=" ")
            print(f"(written in {time.monotonic() - begun:.0f} s)")
            urls = {
                "bare aiohttp": [reference],
                "GET /webhooks/{id}": [f"{stack.urls.api}/webhooks/{id_}" for id_ in webhooks],
                "GET …/logs": [f"{stack.urls.api}/webhooks/{id_}/logs" for id_ in webhooks],
            }
            _report(await _turns(urls, token, seconds, rounds))
            await _report_alone(urls["GET …/logs"], token, seconds)


async def _webhooks(store: Store, first: str) -> list[str]:
    """Return the webhook and as many copies of it as are wanted."""
    webhooks = Webhooks(store)
    original = await webhooks.of_id(first)
    assert original is not None
    ids = [first, *(new_id(Prefix.WEBHOOK) for _ in range(WEBHOOKS - 1))]
    for id_ in ids[1:]:
        await webhooks.insert(
            original.model_copy(update={"id": id_, "address": f"{id_}@incoming.localhost"})
        )
    return ids


async def _write_logs(store: Store, webhooks: Sequence[str], written: int, size: int) -> None:
    logs, now = DeliveryLogs(store, timedelta(days=30)), utc_now()
    for start in range(written, size, BATCH):
        await logs.add(
            [
                Attempt(
                    id=new_id(Prefix.LOG),
                    delivery_id=new_id(Prefix.DELIVERY),
                    webhook_id=webhooks[number % len(webhooks)],
                    number=1,
                    smtp_message_id=f"<{number}@example.org>",
                    sender="load@example.com",
                    result=Result.DELIVERED,
                    http_status=200,
                    error=None,
                    duration_ms=12,
                    attempted_at=now - timedelta(milliseconds=number),
                )
                for number in range(start, min(start + BATCH, size))
            ]
        )


async def _turns(
    urls: dict[str, list[str]], token: str, seconds: float, rounds: int
) -> dict[str, list[list[float]]]:
    """Ask each in turn, so that what else the machine does falls on all; return the latencies."""
    found: dict[str, list[list[float]]] = {name: [] for name in urls}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    headers = {"Authorization": token}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for addresses in urls.values():  # warms up
            await _asked(session, addresses, 1)
        for _ in range(rounds):
            for name, addresses in urls.items():
                found[name].append(await _asked(session, addresses, seconds))
    return found


async def _report_alone(pages: Sequence[str], token: str, seconds: float) -> None:
    """Tell how long a log page takes whose reader is alone, with no queue before the store."""
    async with aiohttp.ClientSession(headers={"Authorization": token}) as session:
        latencies = sorted(await _asked(session, pages, seconds, connections=1))
    p50, p99 = _percentiles(latencies)
    print(f"one log page at a time: {len(latencies)} pages, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile of sorted latencies, in milliseconds."""
    return 1000 * latencies[len(latencies) // 2], 1000 * latencies[int(len(latencies) * 0.99)]


async def _asked(
    session: aiohttp.ClientSession,
    urls: Sequence[str],
    seconds: float,
    connections: int = CONNECTIONS,
) -> list[float]:
    latencies: list[float] = []
    deadline, turn = time.perf_counter() + seconds, cycle(urls)

    async def ask() -> None:
        while (begun := time.perf_counter()) < deadline:
            async with session.get(next(turn)) as response:
                await response.read()
                assert response.status == 200
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(ask() for _ in range(connections)))
    return latencies


def _report(found: dict[str, list[list[float]]]) -> None:
    rates = {name: [_rate(turn) for turn in turns] for name, turns in found.items()}
    reference = next(iter(rates.values()))
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        latencies = sorted(latency for turn in found[name] for latency in turn)
        p50, p99 = _percentiles(latencies)
        low, middle, high = min(values), statistics.median(values), max(values)
        print(
            f"{name:20} requests/s min {low:7.0f}  median {middle:7.0f}  max {high:7.0f}"
            f"   ratio {ratio:4.2f}   p50 {p50:6.1f} ms  p99 {p99:6.1f} ms"
        )


def _rate(latencies: Sequence[float]) -> float:
    """Requests a second of one turn: all connections were busy throughout."""
    return CONNECTIONS * len(latencies) / sum(latencies)


if __name__ == "__main__":
    main()
