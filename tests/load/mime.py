"""Benchmark of reading mails: from octets to the body of a webhook call.

    python -m tests.load.mime [--turns 20]

Reads every mail of the tests (tests/support/corpus.py) in turn, and prints how long one takes in
milliseconds: median, p99 and the worst over all mails and turns, those of 100 KB and more apart,
and the slowest mails by their median. One process, no I/O.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from conduit.events import MailAccepted
from conduit.mail.parse import parse
from conduit.model.envelope import Envelope
from conduit.webhook import payload
from tests.support.corpus import corpus
from tests.support.made_mails import Made

LARGE = 100_000
LIMIT = 25 << 20
SLOWEST = 10
EVENT = MailAccepted(
    delivery_id="dlv_01jgxyz",
    message_id="msg_01jgxyz",
    webhook_id="wh_01jgxyz",
    envelope=Envelope("ann@example.com", ("bob@example.org",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2025, 1, 6, 10, tzinfo=UTC),
    size=1,
    raw=b"",
)


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=20)
    turns = parser.parse_args().turns
    mails = list(corpus())
    times: dict[str, list[float]] = {mail.name: [] for mail in mails}
    for _ in range(turns + 1):  # the first one loads codecs, and counts as any other
        for mail in mails:
            times[mail.name].append(timed(mail))
    small = [mail for mail in mails if len(mail.raw) < LARGE]
    large = [mail for mail in mails if len(mail.raw) >= LARGE]
    print(f"{'':24}{'mails':>8}{'median ms':>12}{'p99 ms':>12}{'worst ms':>12}")
    row("below 100 KB", [each for mail in small for each in times[mail.name]], len(small))
    row("100 KB and more", [each for mail in large for each in times[mail.name]], len(large))
    print("slowest, by their median")
    for mail in sorted(mails, key=lambda mail: -statistics.median(times[mail.name]))[:SLOWEST]:
        print(f"{statistics.median(times[mail.name]):10.3f}  {len(mail.raw):8}  {mail.name}")


def timed(mail: Made) -> float:
    """Return how many milliseconds a mail takes."""
    start = time.perf_counter()
    payload.build(parse(mail.raw), EVENT, attachment_limit=LIMIT)
    return 1_000 * (time.perf_counter() - start)


def row(name: str, times: Sequence[float], mails: int) -> None:
    """Print the figures of some mails."""
    found = sorted(times)
    median, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
    print(f"{name:24}{mails:>8}{median:>12.3f}{p99:>12.3f}{found[-1]:>12.3f}")


if __name__ == "__main__":
    main()
