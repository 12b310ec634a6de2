"""Benchmark of the webhook call alone: CPU time of one POST over kept connections.

    python -m tests.load.post [--calls 500] [--rounds 40] [--connections 20] [--size 5000]

Conduit's sender, a bare aiohttp session, and ready-made requests that wait for some answer call one
endpoint, which is a process of its own, from one process, in turns of a few hundred calls: what
else runs on the machine then strikes all of them alike. CPU time of the calling process, in µs for
a call; the median of all turns tells.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_network

import uvloop

from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.sender import Sender, open_sender
from conduit_local.ports import Ports
from tests.load import callers, servers

Caller = Callable[[str, bytes, Iterator[int], int], Awaitable[None]]
"""Makes calls with a body to a URL, as many as there are items, over so many connections."""


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("calls", 500), ("rounds", 40), ("connections", 20), ("size", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    port = Ports.free().api
    with servers.module("tests.load.sink", str(port), port=port):
        found = uvloop.run(_measured(f"http://127.0.0.1:{port}/hook", arguments))
    print(f"{'CPU µs for a POST':20}{'min':>10}{'median':>10}{'max':>10}")
    for name, turns in found.items():
        cells = (min(turns), statistics.median(turns), max(turns))
        print(f"{name:20}" + "".join(f"{cell:10.1f}" for cell in cells))


async def _measured(url: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    egress = Egress(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))
    async with open_sender(egress, timeout=30, connect_timeout=5, resolver=None) as sender:
        contenders: dict[str, Caller] = {
            "ready-made": callers.by_octets,
            "bare aiohttp": callers.by_aiohttp,
            "sender": _by(sender),
        }
        turns: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(arguments.rounds + 1):  # the first one only warms up
            for name, caller in contenders.items():
                took = await _turn(caller, url, arguments)
                if number > 0:
                    turns[name].append(took)
    return turns


async def _turn(caller: Caller, url: str, arguments: argparse.Namespace) -> float:
    calls, body = int(arguments.calls), b"x" * arguments.size
    started = time.process_time()
    await caller(url, body, iter(range(calls)), arguments.connections)
    return (time.process_time() - started) / calls * 1e6


def _by(sender: Sender) -> Caller:
    async def caller(url: str, body: bytes, calls: Iterator[int], connections: int) -> None:
        async def post() -> None:
            for _ in calls:
                answer = await sender.post(url, body, callers.HEADERS)
                assert answer.result is Result.DELIVERED

        await asyncio.gather(*(post() for _ in range(connections)))

    return caller


if __name__ == "__main__":
    main()
