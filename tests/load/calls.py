"""Benchmark of the dispatcher alone: calls/s of one process, each with its records.

    python -m tests.load.calls [--mails 10000] [--rounds 5] [--lane LANE] [--profile FILE]

A queue of mails of 4 KB is there first; then one dispatcher, the real program, empties it to an
endpoint in a process of its own. It is frozen while the queue fills, so that its start does not
count. A turn is over when the dispatcher has logged all attempts, which it does when they are
recorded, and at the end delivery, attempt and mail of each must be in the store.

In turn with it, A B C A B C …, a bare aiohttp client POSTs as many bodies of the same size over as
many connections (`bare aiohttp`), and a client that does nothing but write ready-made requests
shows what the endpoint can take at most (`ready-made`). `bare dispatcher` consumes, POSTs, writes
and acknowledges by the dispatcher's own parts, but all of it ready-made: what it takes less is what
the dispatcher's work proper takes.

The store is `secantusd-rs` in MongoDB's place where it is at hand (../shared/secantusdb), else the
embedded one. All of it runs on this machine: CPU time for one call says more than calls/s when
others use it. `all else` is what the machine did beyond the processes named.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit.bus.topology import DELIVERIES, DELIVERIES_DEAD, LANES
from conduit.mail.parse import parse
from conduit.model.webhook import Webhook
from conduit.webhook import payload
from conduit_dispatcher.settings import DispatcherSettings
from conduit_local import probes
from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.load import bare_dispatcher, cpu, disk, servers
from tests.load.figures import Row, Turn, ratios, table
from tests.load.signed_mail import Signer
from tests.support.frozen import wait_until_stopped
from tests.support.mailroom import Mailroom, accepted, open_mailroom

SIZE = 4096
CONNECTIONS = DispatcherSettings.model_fields["dispatcher_prefetch"].default
CALLERS = {"ready-made": "octets", "bare aiohttp": "aiohttp"}
REFERENCES = (*CALLERS, "bare dispatcher")

_WEBHOOKS = 20
_PUBLISHED_AT_A_TIME = 500
_LONGEST_FREEZE = 15.0
"""Seconds; RabbitMQ gives up on a client that is silent for two heartbeats of 10 s."""
_TIMEOUT = 60.0
_ATTEMPTED = b'"delivery.attempted"'
_BARE_QUEUE = DELIVERIES_DEAD  # which nobody else consumes
_BARE_DATABASE = "bare"


@dataclass(frozen=True)
class Dispatcher:
    """A program that empties a queue, and what its log says of each call."""

    pid: int
    log: Path
    queue: str
    told: bytes

    def freeze(self) -> None:
        """Have it stand still; returns when it does."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until_stopped(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_until_called(self, mails: int, start: int) -> None:
        """Return when so many calls are told of beyond this position of its log."""
        deadline = time.monotonic() + _TIMEOUT
        seen = 0
        with self.log.open("rb") as log:
            log.seek(start)
            while seen < mails:
                if time.monotonic() > deadline:
                    sys.exit(f"{seen} of {mails} calls were told of")
                seen += log.read().count(self.told)
                time.sleep(0.02)


@dataclass(frozen=True)
class Surroundings:
    """All that takes part; `parts` are the processes by name."""

    mailroom: Mailroom
    webhooks: list[Webhook]
    dispatcher: Dispatcher
    bare: Dispatcher
    endpoint: str
    parts: Mapping[str, int]
    mail: bytes
    body_size: int


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lane", choices=LANES, default=DELIVERIES)
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="run the dispatcher under cProfile"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stops in order what was started
    with tempfile.TemporaryDirectory() as directory:
        run(Path(directory), arguments)


def run(directory: Path, arguments: argparse.Namespace) -> None:
    """Start what is needed, and measure."""
    port = Ports.free().api
    with (
        _infrastructure(directory) as (stack, store, parts),
        servers.module("tests.load.sink", str(port), port=port) as endpoint,
        _dispatcher(directory, stack, arguments.lane, arguments.profile) as dispatcher,
    ):
        print(
            f"store: {store}, on {disk.described(directory)}; {arguments.rounds} rounds of", end=""
        )
        print(f" {arguments.mails} mails of {SIZE} octets; {CONNECTIONS} calls at a time")
        parts["endpoint"] = endpoint
        asyncio.run(
            _measure(directory, stack, dispatcher, f"http://127.0.0.1:{port}/", parts, arguments)
        )


@contextmanager
def _infrastructure(directory: Path) -> Iterator[tuple[Stack, str, dict[str, int]]]:
    """Run RabbitMQ and a store; yield their stack, the store's name, and their process ids."""
    data = directory / "stack"
    if not servers.SECANTUSD_RS.exists():
        with Stack.isolated(data, ["store", "rabbitmq"]) as stack:
            yield stack, "embedded", {"store": stack.pid("store")} | _broker(stack)
        return
    with (
        servers.secantusd_rs(directory) as (url, pid),
        Stack.isolated(data, ["rabbitmq"], {"CONDUIT_MONGODB_URL": url}) as stack,
    ):
        yield stack, "secantusd-rs", {"store": pid} | _broker(stack)


def _broker(stack: Stack) -> dict[str, int]:
    own = "rabbitmq" in stack.plan.programs
    return {"RabbitMQ": stack.pid("rabbitmq")} if own else {}


@contextmanager
def _dispatcher(
    directory: Path, stack: Stack, queue: str, profile: Path | None
) -> Iterator[Dispatcher]:
    """Run a dispatcher until the end of the block."""
    file = directory / "dispatcher.log"
    profiler = [] if profile is None else ["-m", "cProfile", "-o", str(profile.resolve())]
    command = [*profiler, "-m", "conduit_dispatcher"]
    ready = probes.readyz(stack.plan.ports.dispatcher_metrics)
    with _running(command, stack.plan.environment, file, ready) as pid:
        yield Dispatcher(pid, file, queue, _ATTEMPTED)


@contextmanager
def _bare_dispatcher(
    directory: Path, stack: Stack, endpoint: str, size: int
) -> Iterator[Dispatcher]:
    """Run a bare dispatcher until the end of the block, with a database of its own."""
    file = directory / "bare_dispatcher.log"
    command = ["-m", "tests.load.bare_dispatcher", _BARE_QUEUE, endpoint, str(size)]
    environment = {**stack.plan.environment, "CONDUIT_MONGODB_DATABASE": _BARE_DATABASE}

    def missing() -> str | None:
        is_ready = file.read_bytes().endswith(bare_dispatcher.READY)
        return None if is_ready else "the bare dispatcher is not ready"

    with _running(command, environment, file, missing) as pid:
        yield Dispatcher(pid, file, _BARE_QUEUE, bare_dispatcher.CALLED)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], file: Path, ready: probes.Probe
) -> Iterator[int]:
    """Run a program until the end of the block; yield its process id once it is ready."""
    with file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=servers.ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_ready(process, ready, file)
        yield process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(timeout=30)


def _wait_ready(process: subprocess.Popen[bytes], probe: probes.Probe, log: Path) -> None:
    deadline = time.monotonic() + 30
    while missing := probe():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{missing}\n{log.read_text()}")
        time.sleep(0.05)


async def _measure(
    directory: Path,
    stack: Stack,
    dispatcher: Dispatcher,
    endpoint: str,
    parts: Mapping[str, int],
    arguments: argparse.Namespace,
) -> None:
    async with _surroundings(directory, stack, dispatcher, endpoint, parts) as around:
        rows = [Row(name) for name in (*REFERENCES, "dispatcher")]
        for number in range(arguments.rounds + 1):  # the first one only warms up
            for row in rows:
                turn = await _turn(row.name, around, arguments.mails)
                if number > 0:
                    row.turns.append(turn)
        print("\n".join([*table(rows, "calls"), *ratios(rows, len(REFERENCES))]), flush=True)
        await _check_records(around, arguments.mails * (arguments.rounds + 1))


@asynccontextmanager
async def _surroundings(
    directory: Path,
    stack: Stack,
    dispatcher: Dispatcher,
    endpoint: str,
    parts: Mapping[str, int],
) -> AsyncIterator[Surroundings]:
    async with open_mailroom(stack) as mailroom:
        webhooks = [await mailroom.webhook(f"{endpoint}{n}") for n in range(_WEBHOOKS)]
        mail = Signer().mail(SIZE)
        body = payload.build(parse(mail), accepted(webhooks[0], mail), attachment_limit=0)
        with _bare_dispatcher(directory, stack, endpoint, len(body)) as bare:
            yield Surroundings(
                mailroom, webhooks, dispatcher, bare, endpoint, parts, mail, len(body)
            )


async def _turn(name: str, around: Surroundings, calls: int) -> Turn:
    if name in CALLERS:
        return await asyncio.to_thread(_by_caller, CALLERS[name], around, calls)
    if name in REFERENCES:
        return await _by_dispatcher(around.bare, "client", around, calls)
    return await _by_dispatcher(around.dispatcher, "dispatcher", around, calls)


async def _by_dispatcher(
    dispatcher: Dispatcher, payer: str, around: Surroundings, calls: int
) -> Turn:
    await _fill(dispatcher, around, calls)
    start = dispatcher.log.stat().st_size
    parts = {**around.parts, payer: dispatcher.pid}
    before, machine, begun = _cpu(parts), cpu.of_machine(), time.monotonic()
    dispatcher.thaw()
    await asyncio.to_thread(dispatcher.wait_until_called, calls, start)
    seconds = time.monotonic() - begun
    await asyncio.to_thread(cpu.wait_until_quiet, parts.values())
    taken = {part: after - before[part] for part, after in _cpu(parts).items()}
    return Turn(
        calls, seconds, taken | {"all else": cpu.of_machine() - machine - sum(taken.values())}
    )


def _by_caller(kind: str, around: Surroundings, calls: int) -> Turn:
    parts = {"endpoint": around.parts["endpoint"]}
    before = _cpu(parts)
    arguments = [kind, around.endpoint, *map(str, (calls, CONNECTIONS, around.body_size))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.load.callers", *arguments],
        cwd=servers.ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=_TIMEOUT,
    )
    seconds, client = json.loads(done.stdout)
    return Turn(
        calls, seconds, {"client": client, "endpoint": _cpu(parts)["endpoint"] - before["endpoint"]}
    )


async def _fill(dispatcher: Dispatcher, around: Surroundings, mails: int) -> None:
    """Put mails on the queue of a dispatcher, which stands still from then on."""
    dispatcher.freeze()
    begun = time.monotonic()
    for start in range(0, mails, _PUBLISHED_AT_A_TIME):
        numbers = range(start, min(start + _PUBLISHED_AT_A_TIME, mails))
        events = [accepted(around.webhooks[n % _WEBHOOKS], around.mail) for n in numbers]
        await asyncio.gather(
            *(around.mailroom.publish(event, dispatcher.queue) for event in events)
        )
    if time.monotonic() - begun > _LONGEST_FREEZE:
        sys.exit("it took too long to fill the queue: ask for fewer mails")


async def _check_records(around: Surroundings, mails: int) -> None:
    """End unless each mail has left all its records."""
    found = await around.mailroom.recorded()
    if set(found.values()) != {mails}:
        sys.exit(f"{mails} mails were delivered, and recorded are {found}")


def _cpu(parts: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu.of_trees([pid]) for name, pid in parts.items()}


if __name__ == "__main__":
    main()
