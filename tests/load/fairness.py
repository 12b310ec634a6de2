"""Benchmark of fairness: what the burst of one webhook costs the mail of another.

    python -m tests.load.fairness [--variants refuses hangs silent fails slow] [--queued 10000]

The other webhook gets ten mails a second; measured is the time from the receipt of each to its
call, first alone, then from the moment at which the first webhook has so many mails waiting and
its endpoint

    refuses   every connection
    hangs     on every connection: it answers no SYN
    silent    takes the call and says nothing
    fails     answers 500 after five seconds
    slow      is fine, and takes 200 ms for each call

The burst goes to the lanes by the ingest's own rule, from a process of its own. `first` are the
mails of the other webhook that came until all of the burst had been looked at once, `later` those
that came while it was called or waited and was tried again, `both` all of them.

Each case has a stack of its own. Exits with 1 when the 99th percentile of `both` grows to twice
that of `alone` or more.
"""

import argparse
import asyncio
import math
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aio_pika
import uvloop

from conduit.bus.connection import open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.topology import LANES
from conduit.events import encode
from conduit.model.webhook import Webhook
from conduit.settings import BusSettings
from conduit_local.ports import LOOPBACK, Ports
from conduit_local.receiver import Answer, Receiver
from conduit_local.stack import Stack
from tests.load import servers
from tests.support.mailroom import Mailroom, accepted, open_mailroom, usual_shares
from tests.support.stacks import patiently

VARIANTS = ("refuses", "hangs", "silent", "fails", "slow")
_RATE = 10
_AT_ONCE = 100
_LOOK = 0.237  # seconds between two looks at the queues, seldom at the moment of a mail
_LOOKS = 5  # in a row that find them empty
_WARM_UP = 5.0  # seconds of mail that is not counted
_ENOUGH = 2.0
"""Growth of the 99th percentile that is too much."""


@dataclass(frozen=True)
class Figures:
    """Seconds from receipt to call of the other webhook's mails; infinite: not called in time."""

    name: str
    times: Sequence[float]

    def at(self, share: float) -> float:
        """Return a percentile."""
        return sorted(self.times)[min(int(len(self.times) * share), len(self.times) - 1)]

    def line(self, variant: str, alone: "Figures") -> str:
        """Return a row of the table."""
        arrived = sum(math.isfinite(each) for each in self.times)
        head = f"{variant:10} {self.name:6} {arrived:>6}/{len(self.times):<6}"
        if not self.times:
            return head
        p50, p99, most = (f"{1000 * self.at(share):.1f}" for share in (0.5, 0.99, 1))
        return f"{head} {p50:>9} {p99:>9} {most:>9} {self.at(0.99) / alone.at(0.99):>9.2f}"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument(
        "--seconds", type=float, default=60, help="of mail to the other webhook, alone and later"
    )
    parser.add_argument("--patience", type=float, default=60, help="seconds after its last mail")
    arguments = parser.parse_args()
    print(f"{'':17} {'called':>13} {'p50 ms':>9} {'p99 ms':>9} {'most ms':>9} {'p99 x':>9}")
    unfair = False
    for variant in arguments.variants:
        with tempfile.TemporaryDirectory() as directory:
            alone, *beside = uvloop.run(run(Path(directory), variant, arguments))
        for found in (alone, *beside):
            print(found.line(variant, alone))
        print(f"{'':10} machine's load {os.getloadavg()[0]:.0f}", flush=True)
        unfair |= beside[-1].at(0.99) >= _ENOUGH * alone.at(0.99)
    sys.exit(unfair)


async def run(directory: Path, variant: str, arguments: argparse.Namespace) -> list[Figures]:
    """Measure one case: alone, first, later, and the last two together."""
    async with AsyncExitStack() as cleanup:
        _, settings, programs = cleanup.enter_context(servers.store(directory))
        needed = [name for name in programs if name in ("rabbitmq", "store", "dispatcher")]
        stack = cleanup.enter_context(
            patiently(Stack.isolated(directory / "stack", needed, settings))
        )
        mailroom = await cleanup.enter_async_context(open_mailroom(stack))
        receiver = await cleanup.enter_async_context(Receiver())
        flow = Flow(mailroom, await mailroom.webhook(f"{receiver.url}/other"))
        await flow.go_on(_WARM_UP)
        begun = time.time()
        await flow.go_on(arguments.seconds)
        target = await cleanup.enter_async_context(_endpoint(variant))
        await asyncio.to_thread(
            _in_own_process, stack, await mailroom.webhook(target), arguments.queued
        )
        queued = time.time()
        looking = asyncio.create_task(_looked_at(stack.urls.amqp))
        await flow.go_on(arguments.seconds, after=looking)
        with suppress(TimeoutError):  # what was not called is told in the table
            await receiver.wait_for(len(flow.sent), path="/other", timeout=arguments.patience)
        called: dict[str, float] = {}
        for call in receiver.at("/other"):
            called.setdefault(call.webhook_id, call.at)

        def between(name: str, start: float, end: float) -> Figures:
            received = {each: at for each, at in flow.sent.items() if start <= at < end}
            return Figures(name, [called.get(each, math.inf) - at for each, at in received.items()])

        return [
            between("alone", begun, queued),
            between("first", queued, looking.result()),
            between("later", looking.result(), math.inf),
            between("both", queued, math.inf),
        ]


class Flow:
    """The other webhook's mail, at an even rate."""

    def __init__(self, mailroom: Mailroom, webhook: Webhook) -> None:
        self._mailroom = mailroom
        self._webhook = webhook
        self.sent: dict[str, float] = {}
        """When each was received, by delivery, in seconds since the epoch."""

    async def go_on(self, seconds: float, after: "asyncio.Task[float] | None" = None) -> None:
        """Send mail for so long, from the end of `after` on if there is one, and during it."""
        begun = time.monotonic()
        ends = math.inf if after else time.time() + seconds
        for turn in count():
            if after and after.done():
                ends = after.result() + seconds
            if time.time() > ends:
                return
            await asyncio.sleep(max(0.0, begun + turn / _RATE - time.monotonic()))
            event = await self._mailroom.accept(self._webhook)
            self.sent[event.delivery_id] = event.received_at.timestamp()


async def _looked_at(amqp: str) -> float:
    """Return when the dispatcher has looked at all that was queued, in seconds since the epoch.

    What it has taken last is not in the queues any more and under way still, for some moments.
    """
    async with await aio_pika.connect(amqp) as connection:
        channel = await connection.channel()
        empty = 0
        while empty < _LOOKS:
            await asyncio.sleep(_LOOK)
            waiting = 0
            for lane in LANES:
                queue = await channel.declare_queue(lane, passive=True)
                waiting += queue.declaration_result.message_count or 0
            empty = 0 if waiting else empty + 1
    return time.time()


def _in_own_process(stack: Stack, webhook: Webhook, mails: int) -> None:
    """Put a burst on the queues without taking time from what is measured here."""
    process = multiprocessing.get_context("spawn").Process(
        target=_burst, args=(stack.urls.amqp, webhook, mails)
    )
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit("the burst could not be queued")


def _burst(amqp: str, webhook: Webhook, mails: int) -> None:
    uvloop.run(_queue(amqp, webhook, mails))


async def _queue(amqp: str, webhook: Webhook, mails: int) -> None:
    """Put mails on the queues by the rule of an ingest."""
    shares = usual_shares()
    turns = iter(range(mails))
    async with open_bus(BusSettings(amqp_url=amqp)) as bus:
        publisher = Publisher(bus)
        await publisher.open()

        async def some() -> None:
            for _ in turns:
                await publisher.publish(encode(accepted(webhook)), shares.lane(webhook.id))

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


@asynccontextmanager
async def _endpoint(variant: str) -> AsyncIterator[str]:
    """Yield the URL of an endpoint that behaves in this way."""
    if variant == "refuses":
        yield f"http://{LOOPBACK}:{Ports.free().api}/"
    elif variant == "hangs":
        with _deaf_socket() as url:
            yield url
    else:
        answers = {
            "silent": Answer(delay=10_000),
            "fails": Answer(500, delay=5),
            "slow": Answer(delay=0.2),
        }
        async with Receiver() as receiver:
            receiver.always_answer(answers[variant], path="/")
            yield f"{receiver.url}/"


class _deaf_socket:  # noqa: N801 (a context manager)
    """A port whose queue of connections is full: Linux then drops every SYN."""

    def __enter__(self) -> str:
        self._sockets = [socket.socket()]
        listening = self._sockets[0]
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        for _ in range(4):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(listening.getsockname())
            self._sockets.append(filling)
        return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


if __name__ == "__main__":
    main()
