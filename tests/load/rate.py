"""Benchmark of the pacing: rate limits kept by two dispatchers together, and what waiting costs.

    python -m tests.load.rate [--rates 60 600 6000] [--seconds 60] [--queued 10000] [--store …]

For each rate there is a webhook whose mails are all put on the queues at once, by the ingest's
rule. Some seconds later the calls of all are watched for a while, beside mail that has no slot yet:
those that are far away are given out as there is time. A deviation is that of the count of calls in
any window, wherever it begins, from the rate; a hop is a publish to a delay queue. In the end many
mails of one webhook wait for their slots, and CPU time is measured.
"""

import argparse
import asyncio
import bisect
import math
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise, product
from pathlib import Path

import orjson
import uvloop
from aio_pika import connect
from aio_pika.abc import AbstractIncomingMessage

from conduit.bus.topology import DELAYS, EXCHANGE, LANES, delay_queue
from conduit.model.webhook import Webhook
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.load import cpu, servers
from tests.support.mailroom import Mailroom, open_mailroom, usual_shares
from tests.support.polling import eventually
from tests.support.stacks import dispatcher_beside, patiently

_SETTLED = 5.0  # seconds until the calls are counted, when who is late has another slot
_SPARE = 40  # seconds of mail for the time until then
_PATIENCE = 600.0
_AT_ONCE = 100
_IDLE_RATE = 60
_IDLE_SECONDS = 30


class Hops:
    """Counts publishes to the delay queues: the exchange copies each to a queue of ours."""

    def __init__(self) -> None:
        self.of_webhook: Counter[str] = Counter()
        self._mails: defaultdict[str, set[str]] = defaultdict(set)

    def mails(self, webhook: Webhook) -> int:
        """How many mails of a webhook have been put off."""
        return len(self._mails[webhook.id])

    @asynccontextmanager
    async def counted(self, url: str) -> AsyncIterator["Hops"]:
        """Count until the end of the block."""
        async with await connect(url) as connection:
            channel = await connection.channel()
            copies = await channel.declare_queue(exclusive=True)
            for lane, seconds in product(LANES, DELAYS):
                await copies.bind(EXCHANGE, routing_key=delay_queue(seconds, lane))
            await copies.consume(self._count, no_ack=True)
            yield self

    async def _count(self, message: AbstractIncomingMessage) -> None:
        meta = orjson.loads(str(message.headers["conduit-meta"]))
        self.of_webhook[meta["webhook_id"]] += 1
        self._mails[meta["webhook_id"]].add(meta["delivery_id"])


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="*", default=[60, 600, 6000])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--store", default="embedded", choices=("embedded", "secantusd-rs"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(run(Path(directory), arguments))


async def run(directory: Path, arguments: argparse.Namespace) -> None:
    """Start two dispatchers, measure and print."""
    async with AsyncExitStack() as cleanup:
        settings: dict[str, str] = {}
        programs = ["rabbitmq", "dispatcher"]
        if arguments.store == "embedded":
            programs.append("store")
        else:
            _, settings, _ = cleanup.enter_context(servers.store(directory))
        stack = cleanup.enter_context(
            patiently(Stack.isolated(directory / "1", programs, settings))
        )
        beside = cleanup.enter_context(patiently(dispatcher_beside(stack, directory / "2")))
        mailroom = await cleanup.enter_async_context(open_mailroom(stack))
        receiver = await cleanup.enter_async_context(Receiver())
        hops = await cleanup.enter_async_context(Hops().counted(stack.urls.amqp))
        print(f"two dispatchers; store: {arguments.store}", flush=True)
        if arguments.rates:
            await _rates(mailroom, receiver, hops, arguments)
        if arguments.queued:
            await _waiting(stack, beside, mailroom, receiver, hops, arguments.queued)
        for one in (stack, beside):
            contended = one.log("dispatcher").read_text().count("contended")
            print(f"postponed because slots were contended: {contended}")


async def _rates(
    mailroom: Mailroom, receiver: Receiver, hops: Hops, arguments: argparse.Namespace
) -> None:
    webhooks = {
        rate: await mailroom.webhook(f"{receiver.url}/{rate}", rate_limit=rate)
        for rate in arguments.rates
    }
    begun = time.time()
    queued = {rate: math.ceil(rate * (arguments.seconds + _SPARE) / 60) for rate in webhooks}
    for rate, webhook in webhooks.items():
        await _accept(mailroom, webhook, queued[rate])
    accepted = time.time()
    since = time.time() + _SETTLED
    print(f"{sum(queued.values())} mails put on the queue in {accepted - begun:.1f} s", flush=True)
    await asyncio.sleep(_SETTLED + arguments.seconds)
    for rate, webhook in webhooks.items():
        calls = [call.at - since for call in receiver.at(f"/{rate}")]
        made = [at for at in sorted(calls) if 0 <= at < arguments.seconds]
        per_mail = hops.of_webhook[webhook.id] / max(len(calls), 1)
        _report(rate, made, arguments.seconds, per_mail)


def _report(rate: int, made: Sequence[float], seconds: float, hops: float) -> None:
    print(f"\n{rate} a minute: {len(made)} calls in {seconds:g} s, {hops:.2f} hops a call")
    tens = [sum(start <= at < start + 10 for at in made) for start in range(0, int(seconds), 10)]
    print(f"  calls in each 10 s: {tens}")
    for window in (1, 10, 60):
        if window <= seconds and rate * window / 60 >= 1:
            low, high = _deviation(made, window, rate * window / 60, seconds)
            print(f"  any {window:2} s: {100 * low:+.1f} % to {100 * high:+.1f} % of the rate")
    gaps = sorted(b - a for a, b in pairwise(made))
    if gaps:
        found = (gaps[0], statistics.median(gaps), gaps[int(len(gaps) * 0.99)], gaps[-1])
        least, middle, p99, most = (f"{1000 * gap:.0f}" for gap in found)
        print(
            f"  between calls, ms: least {least}, median {middle}, p99 {p99}, most {most}"
            f" (even: {60_000 / rate:.0f})",
            flush=True,
        )


def _deviation(
    made: Sequence[float], window: float, due: float, seconds: float
) -> tuple[float, float]:
    """Return the lowest and the highest share by which a window's count differs from what is due.

    A window that begins anywhere has a whole number of calls, so one less is no deviation.
    """
    starts = [at for at in made if at + window <= seconds] or [0.0]
    counts = [
        bisect.bisect_left(made, start + window) - bisect.bisect_left(made, start)
        for start in starts
    ]
    # A count is least in a window that begins just after a call.
    low = min(min(count - 1 for count in counts) + 1, math.ceil(due))
    return low / due - 1, max(counts) / due - 1


async def _waiting(
    stack: Stack,
    beside: Stack,
    mailroom: Mailroom,
    receiver: Receiver,
    hops: Hops,
    count: int,
) -> None:
    webhook = await mailroom.webhook(f"{receiver.url}/idle", rate_limit=_IDLE_RATE)
    begun = time.time()
    await _accept(mailroom, webhook, count)
    accepted = time.time()
    await eventually(
        lambda: hops.mails(webhook) + len(receiver.at("/idle")) >= count,
        within=_PATIENCE,
        what="slots for all mails",
    )
    print(
        f"\n{count} mails of a webhook with {_IDLE_RATE} a minute: on the queue in "
        f"{accepted - begun:.1f} s, all on their way to their slots {time.time() - accepted:.1f} s "
        "later"
    )
    trees = {
        "dispatcher 1": stack.pid("dispatcher"),
        "dispatcher 2": beside.pid("dispatcher"),
        "rabbitmq": stack.pid("rabbitmq"),
    }
    before = {name: cpu.of_trees([pid]) for name, pid in trees.items()}
    hopped = hops.of_webhook[webhook.id]
    await asyncio.sleep(_IDLE_SECONDS)
    for name, pid in trees.items():
        share = (cpu.of_trees([pid]) - before[name]) / _IDLE_SECONDS
        print(f"  waiting, {name}: {100 * share:.1f} % of one CPU")
    print(
        f"  hops meanwhile: {(hops.of_webhook[webhook.id] - hopped) / _IDLE_SECONDS:.1f} a second",
        flush=True,
    )


async def _accept(mailroom: Mailroom, webhook: Webhook, count: int) -> None:
    turns, shares = iter(range(count)), usual_shares()

    async def some() -> None:
        for _ in turns:
            await mailroom.accept(webhook, lane=shares.lane(webhook.id))

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    main()
