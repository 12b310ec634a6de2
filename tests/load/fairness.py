"""Benchmark of fairness: what one webhook's dead endpoint costs the mail of another.

    python -m tests.load.fairness [--variants refuses hangs silent fails] [--queued 10000]

The other webhook gets ten mails a second; measured is the time from the receipt of each to its
call, first alone, then while the first webhook has so many mails waiting and its endpoint

    refuses   every connection
    hangs     on every connection: it answers no SYN
    silent    takes the call and says nothing
    fails     answers 500 after five seconds

All that the first webhook has is put on the queue at once, and a queue is first in, first out:
until the dispatcher has put off each of these mails, the others' wait behind them. That time is
told by itself, with the 99th percentile in it; the figures are of the mails that came afterwards,
while those of the first webhook wait and are tried again.

Each case has a stack of its own. Exits with 1 when the 99th percentile grows to twice or more.
"""

import argparse
import asyncio
import math
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

from conduit.bus.topology import DELIVERIES
from conduit.model.webhook import Webhook
from conduit_local.ports import LOOPBACK, Ports
from conduit_local.receiver import Answer, Receiver
from conduit_local.stack import Stack
from tests.load import servers
from tests.support.mailroom import Mailroom, open_mailroom
from tests.support.stacks import patiently

VARIANTS = ("refuses", "hangs", "silent", "fails")
_RATE = 10
_AT_ONCE = 100
_LOOK = 0.1  # seconds between two looks at the queue
_LOOKS = 20  # in a row that find it empty
_ENOUGH = 2.0
"""Growth of the 99th percentile that is too much."""


@dataclass(frozen=True)
class Figures:
    """Seconds from receipt to call of the other webhook's mails; infinite: not called in time.

    `early` are of those that came in the first `settled` seconds, until all that was queued had
    been put off.
    """

    name: str
    early: Sequence[float]
    settled: float
    times: Sequence[float]

    def at(self, share: float) -> float:
        """Return a percentile."""
        return _at(self.times, share)

    def line(self, alone: "Figures") -> str:
        """Return a row of the table."""
        p50, p99, most = (f"{1000 * self.at(share):.0f}" for share in (0.5, 0.99, 1))
        arrived = sum(math.isfinite(each) for each in self.times)
        return (
            f"{self.name:10} {arrived:>6}/{len(self.times):<6} {p50:>9} {p99:>9} {most:>9} "
            f"{self.at(0.99) / alone.at(0.99):>9.2f} {self.settled:>12.1f} "
            f"{1000 * _at(self.early or [0], 0.99):>9.0f}"
        )


def _at(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30, help="of mail to the other webhook")
    parser.add_argument("--patience", type=float, default=60, help="seconds after its last mail")
    arguments = parser.parse_args()
    print(
        f"{'':10} {'called':>13} {'p50 ms':>9} {'p99 ms':>9} {'most ms':>9} {'p99 x':>9} "
        f"{'settled in s':>12} {'p99 then':>9}"
    )
    alone: Figures | None = None
    unfair = False
    for name in ("alone", *arguments.variants):
        with tempfile.TemporaryDirectory() as directory:
            found = uvloop.run(run(Path(directory), name, arguments))
        alone = alone or found
        unfair |= found.at(0.99) >= _ENOUGH * alone.at(0.99)
        print(f"{found.line(alone)}   (machine's load {os.getloadavg()[0]:.0f})", flush=True)
    sys.exit(unfair)


async def run(directory: Path, variant: str, arguments: argparse.Namespace) -> Figures:
    """Measure one case."""
    async with AsyncExitStack() as cleanup:
        _, settings, programs = cleanup.enter_context(servers.store(directory))
        needed = [name for name in programs if name in ("rabbitmq", "store", "dispatcher")]
        stack = cleanup.enter_context(
            patiently(Stack.isolated(directory / "stack", needed, settings))
        )
        mailroom = await cleanup.enter_async_context(open_mailroom(stack))
        receiver = await cleanup.enter_async_context(Receiver())
        if variant != "alone":
            target = await cleanup.enter_async_context(_dead_endpoint(variant))
            dead = await mailroom.webhook(target)
            await _queue(mailroom, dead, arguments.queued)
        other = await mailroom.webhook(receiver.url)
        begun = time.time()
        looking = asyncio.create_task(_looked_at(stack.urls.amqp))
        sent = await _even(mailroom, other, arguments.seconds, looking)
        settled = looking.result()
        with suppress(TimeoutError):  # what was not called is told in the table
            await receiver.wait_for(len(sent), timeout=arguments.patience)
        called: dict[str, float] = {}
        for call in receiver.requests:
            called.setdefault(call.webhook_id, call.at)
        times = {each: called.get(each, math.inf) - received for each, received in sent.items()}
        return Figures(
            variant,
            [times[each] for each, received in sent.items() if received < settled],
            settled - begun,
            [times[each] for each, received in sent.items() if received >= settled],
        )


async def _looked_at(amqp: str) -> float:
    """Return when the dispatcher has put off all that was queued, in seconds since the epoch.

    What it has taken last is not in the queue any more and under way still, for some moments.
    """
    async with await aio_pika.connect(amqp) as connection:
        channel = await connection.channel()
        empty = 0
        while empty < _LOOKS:
            await asyncio.sleep(_LOOK)
            queue = await channel.declare_queue(DELIVERIES, passive=True)
            empty = 0 if queue.declaration_result.message_count else empty + 1
    return time.time()


async def _queue(mailroom: Mailroom, webhook: Webhook, mails: int) -> None:
    turns = iter(range(mails))

    async def some() -> None:
        for _ in turns:
            await mailroom.accept(webhook)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def _even(
    mailroom: Mailroom, webhook: Webhook, seconds: float, looking: "asyncio.Task[float]"
) -> dict[str, float]:
    """Put mails on the queue at an even rate, for so long after the dispatcher has looked at all.

    Return when each was received, by delivery.
    """
    begun = time.monotonic()
    sent: dict[str, float] = {}
    for turn in count():
        if looking.done() and time.time() > looking.result() + seconds:
            break
        await asyncio.sleep(max(0.0, begun + turn / _RATE - time.monotonic()))
        event = await mailroom.accept(webhook)
        sent[event.delivery_id] = event.received_at.timestamp()
    return sent


@asynccontextmanager
async def _dead_endpoint(variant: str) -> AsyncIterator[str]:
    """Yield the URL of an endpoint that is dead in this way."""
    if variant == "refuses":
        yield f"http://{LOOPBACK}:{Ports.free().api}/"
    elif variant == "hangs":
        with _deaf_socket() as url:
            yield url
    else:
        async with Receiver() as receiver:
            answer = Answer(500, delay=5) if variant == "fails" else Answer(delay=10_000)
            receiver.always_answer(answer, path="/")
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
