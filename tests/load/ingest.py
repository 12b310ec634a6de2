"""Benchmark of the SMTP ingest alone: accepted mails/s, durable, beside bare aiosmtpd and Postfix.

    python -m tests.load.ingest [--rows 4k-kept …] [--servers aiosmtpd postfix no-policy …]

No dispatcher, verifier or API runs. Every server gets the same signed mail from Postfix's
smtp-source, in turn, A B C A B C …, and a turn begins when nothing is left of the one before.
Accepted means: for Conduit confirmed by RabbitMQ (each mail is then counted in the queue), for
Postfix synced to its queue file (each is then followed through its log), for aiosmtpd nothing.

Conduit takes part four times: `no-policy` looks into nothing (CONDUIT_SMTP_AUTHENTICATION is
`policy`), `two` does the same with two processes (the others have one, Postfix as many as it
wants), `reported` evaluates SPF, DKIM, DMARC and ARC of all mail (`always`, the default), and
`policy` requires SPF and DKIM. The ingest caches what a DNS server on loopback answers.

The store is `secantusd-rs` in MongoDB's place where it is at hand (../shared/secantusdb), else the
embedded one. All of it runs on this machine: what counts is the ratio to a reference of the same
run. `all else` is what the machine did beyond the processes named: the store, the disk, whatever
disturbed the turn.

Postfix and the load come from Debian's package `postfix`; the reference needs root to start.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from conduit_local.stack import Stack
from tests.load import contenders, cpu, disk, postfix, servers, smtp_source
from tests.load.contenders import Contender, Surroundings
from tests.load.figures import Row, Turn, ratios, table
from tests.load.signed_mail import HELO, SENDER, Signer
from tests.load.smtp_source import Load, Refused
from tests.support.dns import DnsServer

_LARGE_SHARE = 10


@dataclass(frozen=True)
class Kind:
    """What is sent in the rows of one table."""

    title: str
    size: int
    kept: bool


KINDS = {
    "4k-kept": Kind("4 KB, connections kept", 4096, kept=True),
    "4k-new": Kind("4 KB, a new connection each", 4096, kept=False),
    "100k-kept": Kind("100 KB, connections kept", 102_400, kept=True),
    "100k-new": Kind("100 KB, a new connection each", 102_400, kept=False),
}


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--servers", nargs="+", choices=contenders.ALL, default=list(contenders.ALL)
    )
    parser.add_argument(
        "--mails", type=int, default=5000, help="of 4 KB in each turn; of 100 KB a tenth as many"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="run Conduit's ingests under cProfile"
    )
    arguments = parser.parse_args()
    if "postfix" in arguments.servers:
        postfix.check()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stops in order what was started
    with tempfile.TemporaryDirectory() as directory:
        run(Path(directory), arguments)


def run(directory: Path, arguments: argparse.Namespace) -> None:
    """Start what is needed, and measure."""
    with servers.store(directory) as (store, settings, programs):
        needed = [name for name in programs if name in ("store", "rabbitmq")]
        with Stack.isolated(directory / "stack", needed, settings) as stack:
            print(f"store: {store}; RabbitMQ and Postfix {postfix.version()} write to", end=" ")
            print(f"{disk.described(directory)}; {arguments.connections} connections")
            asyncio.run(_measure(directory, stack, arguments))


async def _measure(directory: Path, stack: Stack, arguments: argparse.Namespace) -> None:
    signer = Signer()
    async with DnsServer() as dns, AsyncExitStack() as started:
        signer.publish(dns)
        around = Surroundings(directory, stack, dns.address, arguments.profile)
        names = [name for name in contenders.ALL if name in arguments.servers]
        running = [
            await started.enter_async_context(contenders.contender(name, around)) for name in names
        ]
        references = sum(name in contenders.REFERENCES for name in names)
        for name in arguments.rows:
            kind = KINDS[name]
            load = _load(kind, signer, directory, arguments)
            print(f"\n{kind.title}: {arguments.rounds} rounds of {load.mails} mails", flush=True)
            rows = await _rounds(running, load, arguments.rounds)
            told = [*table(rows), *(ratios(rows, references) if references else ())]
            print("\n".join(told), flush=True)


def _load(kind: Kind, signer: Signer, directory: Path, arguments: argparse.Namespace) -> Load:
    file = directory / f"mail-{kind.size}"
    smtp_source.write(file, signer.mail(kind.size))
    mails = arguments.mails if kind.size == 4096 else max(arguments.mails // _LARGE_SHARE, 1)
    return Load(file, mails, arguments.connections, kind.kept, SENDER, HELO)


async def _rounds(running: Sequence[Contender], load: Load, rounds: int) -> list[Row]:
    """Let each have its turn, again and again; the first round only warms up."""
    rows = [Row(contender.name) for contender in running]
    for number in range(rounds + 1):
        for contender, row in zip(running, rows, strict=True):
            if row.refused is None:
                await _turn(contender, load, row, counts=number > 0)
    return rows


async def _turn(contender: Contender, load: Load, row: Row, *, counts: bool) -> None:
    before, machine = _cpu(contender), cpu.of_machine()
    try:
        sent = await asyncio.to_thread(smtp_source.send, load, contender.port, contender.recipient)
    except Refused as refused:
        row.refused = str(refused)
        await contender.take(None)
        return
    taken = {name: seconds - before[name] for name, seconds in _cpu(contender).items()}
    taken["smtp-source"] = sent.cpu
    taken["all else"] = cpu.of_machine() - machine - sum(taken.values())
    if counts:
        row.turns.append(Turn(load.mails, sent.seconds, taken))
    await contender.take(load.mails)
    await asyncio.to_thread(cpu.wait_until_quiet, contender.parts.values())


def _cpu(contender: Contender) -> Mapping[str, float]:
    return {name: cpu.of_trees([pid]) for name, pid in contender.parts.items()}


if __name__ == "__main__":
    main()
