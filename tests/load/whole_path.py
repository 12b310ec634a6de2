"""Benchmark of the whole path: SMTP in, webhook out, record written.

    python -m tests.load.whole_path [--mails 3000] [--rounds 3]

Prints accepted/s beside bare aiosmtpd with an empty handler in the same run (in turn, A B A B …),
delivered/s, and the latency from the end of DATA to the arrival of the POST at half of the rate
that was delivered. The store is `secantusd-rs` in MongoDB's place where it is at hand
(../shared/secantusdb), else the embedded one. Load comes from Postfix's smtp-source over kept
connections; everything runs on this machine.
"""

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.load import servers
from tests.load.paced import send_paced
from tests.support.user import open_user

SENDER = "load@example.com"
CONNECTIONS = 20
SIZE = 4096


@dataclass(frozen=True)
class Arrival:
    """A mail at the endpoint; times in seconds since the epoch."""

    identifier: str
    received: float
    arrived: float


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mails", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        run(Path(directory), arguments.mails, arguments.rounds)


def run(directory: Path, mails: int, rounds: int) -> None:
    """Measure: bursts in turn with the reference, then a paced load."""
    ports = Ports.free()
    arrivals_file = directory / "arrivals"
    with (
        servers.store(directory) as (store_name, settings, programs),
        servers.module("tests.load.aiosmtpd_alone", str(ports.smtp), port=ports.smtp),
        Stack.isolated(directory / "stack", programs, settings) as stack,
    ):
        server = urlsplit(stack.urls.smtp).netloc
        print(f"store: {store_name}; {mails} mails of {SIZE} octets over {CONNECTIONS} connections")
        accepted, reference = [], []
        with servers.module(
            "tests.load.endpoint", str(ports.api), str(arrivals_file), port=ports.api
        ):
            recipient = asyncio.run(_webhook(stack, f"http://127.0.0.1:{ports.api}/"))
            for _ in range(rounds):
                reference.append(_burst(f"127.0.0.1:{ports.smtp}", recipient, mails))
                accepted.append(_burst(server, recipient, mails))
                _drained(stack)
        delivered = _delivered_per_second(_arrivals(arrivals_file), rounds, mails)
        with servers.module(
            "tests.load.endpoint", str(ports.api), str(arrivals_file), port=ports.api
        ):
            rate = statistics.median(delivered) / 2
            asyncio.run(send_paced(server, SENDER, recipient, SIZE, rate, int(rate * 10)))
            _drained(stack)
        _report(accepted, reference, delivered, rate, _arrivals(arrivals_file))


def _report(
    accepted: list[float],
    reference: list[float],
    delivered: list[float],
    rate: float,
    paced: list[Arrival],
) -> None:
    ratios = [ours / theirs for ours, theirs in zip(accepted, reference, strict=True)]
    latencies = sorted(1000 * (arrival.arrived - arrival.received) for arrival in paced)
    rows = [
        ("bare aiosmtpd, accepted/s", reference),
        ("Conduit, accepted/s (durable)", accepted),
        ("  ratio to bare aiosmtpd", ratios),
        ("Conduit, delivered/s (recorded)", delivered),
    ]
    for name, values in rows:
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:34} min {low:9.2f}   median {middle:9.2f}   max {high:9.2f}")
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.50, 0.99))
    print(
        f"DATA end to POST, {len(latencies)} mails at {rate:.0f}/s: p50 {p50:.0f}, p99 {p99:.0f} ms"
    )


def _burst(server: str, recipient: str, mails: int) -> float:
    """Send mails as fast as they are taken; return how many a second."""
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        sys.exit("smtp-source is missing: install Debian's postfix")
    started = time.monotonic()
    subprocess.run(
        [
            *(program, "-d", "-s", str(CONNECTIONS), "-m", str(mails), "-l", str(SIZE)),
            *("-f", SENDER, "-t", recipient, server),
        ],
        check=True,
        timeout=300,
    )
    return mails / (time.monotonic() - started)


def _delivered_per_second(arrivals: list[Arrival], rounds: int, mails: int) -> list[float]:
    in_order = sorted(arrivals, key=lambda arrival: arrival.arrived)
    if len(in_order) != rounds * mails:
        sys.exit(f"{rounds * mails} mails were accepted, {len(in_order)} arrived")
    bursts = [in_order[start : start + mails] for start in range(0, len(in_order), mails)]
    return [mails / (burst[-1].arrived - burst[0].received) for burst in bursts]


def _arrivals(file: Path) -> list[Arrival]:
    fields = (line.split() for line in file.read_text().splitlines())
    return [Arrival(f[0], float(f[1]), float(f[2])) for f in fields]


def _drained(stack: Stack, within: float = 300) -> None:
    """Return when the dispatcher has recorded as many calls as the ingest has accepted mails."""
    deadline = time.monotonic() + within
    while _count(stack, "dispatcher", "conduit_dispatcher_attempts_total") < _count(
        stack, "smtp-ingest", "conduit_ingest_accepted_total"
    ):
        if time.monotonic() > deadline:
            sys.exit("not all accepted mails were delivered in time")
        time.sleep(0.1)


def _count(stack: Stack, service: str, metric: str) -> float:
    with urlopen(stack.urls.metrics[service], timeout=5) as response:  # noqa: S310 (our own)
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))


async def _webhook(stack: Stack, target: str) -> str:
    async with open_user(stack.urls.api) as user:
        return str((await user.webhook(target))["address"])


if __name__ == "__main__":
    main()
