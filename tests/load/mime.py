"""Benchmark of reading mails: from octets to the body of a webhook call.

    python -m tests.load.mime [--turns 20]

Reads every mail of the tests (tests/support/corpus.py) in turn, and prints how long one takes in
milliseconds: median, p99 and the worst over all mails and turns, those of 100 KB and more apart,
and the slowest mails by their median. Then the CPU time in microseconds of each step from a signed
mail of 4 KB to its signed call. One process, no I/O.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import SecretBytes

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail, parse
from conduit.model.envelope import Envelope
from conduit.security.secrets import SecretBox
from conduit.webhook import payload
from conduit.webhook.signature import sign
from conduit_dispatcher.opened import Opened
from tests.load import signed_mail
from tests.support.corpus import corpus
from tests.support.made_mails import Made

LARGE = 100_000
LIMIT = 25 << 20
SLOWEST = 10
SIZE = 4096
ROUNDS, CALLS = 300, 50  # short rounds, so that many of them are not disturbed
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
    print(f"{f'a mail of {SIZE} octets':24}{'median µs':>12}{'least µs':>12}")
    for name, costs in steps(signed_mail.Signer().mail(SIZE)).items():
        print(f"{name:24}{statistics.median(costs):>12.1f}{min(costs):>12.1f}")


def steps(raw: bytes) -> Mapping[str, Sequence[float]]:
    """Return what each step takes in microseconds of CPU, in rounds that take turns."""
    box = SecretBox({"k": SecretBytes(os.urandom(32))})
    sealed, opened = box.seal("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "wh_1"), Opened(box)
    read = parse(raw)

    def build(mail: ParsedMail) -> bytes:
        return payload.build(mail, EVENT, attachment_limit=LIMIT)

    def signed(body: bytes) -> Mapping[str, str]:
        return sign(body, [opened.signer(sealed, "wh_1")], EVENT.delivery_id, 1_767_225_600)

    body = build(read)
    of: dict[str, Callable[[], object]] = {
        "parse": lambda: parse(raw),
        "payload": lambda: build(read),
        "sign": lambda: signed(body),
        "all of it": lambda: signed(build(parse(raw))),
    }
    costs: dict[str, list[float]] = {name: [] for name in of}
    for _ in range(ROUNDS):
        for name, step in of.items():
            costs[name].append(cost(step))
    return costs


def cost(step: Callable[[], object]) -> float:
    """Return the CPU time of one call in microseconds."""
    start = time.process_time_ns()
    for _ in range(CALLS):
        step()
    return (time.process_time_ns() - start) / CALLS / 1_000


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
