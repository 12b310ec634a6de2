"""Benchmark of what a call costs beside the call: its records, its log line, the story itself.

    python -m tests.load.recording [--calls 2000] [--rounds 9]

CPU time for one call, of this process and of the store, in turn, A B C A B C …, the median of the
rounds:

* `plain inserts`: ready-made documents, one of each of the three collections, by motor's
  `insert_many`, 100 at a time. What the store takes for them it takes for any program.
* `records`: delivery, attempt and mail are made, recorded and told as the dispatcher does it, as
  many at a time as it has under way.
* `story`: all of `Deliverer.handle` but what other benchmarks measure: the mail is parsed before,
  its call is built before, and the endpoint's answer is there at once.

The store is `secantusd-rs` where it is at hand (../shared/secantusdb), else the embedded one. The
log goes to a file.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import uvloop
from prometheus_client import REGISTRY

from conduit.bus.consumer import Incoming
from conduit.events import MailAccepted, encode
from conduit.mail.parse import ParsedMail, parse
from conduit.model.delivery import DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit.settings import StoreSettings
from conduit.store.cached import Cached
from conduit.store.connection import Store, open_store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.holdings import Holdings
from conduit.store.indexes import ensure_indexes
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.slots import Slots
from conduit.store.webhooks import Webhooks
from conduit.telemetry.logging import configure_logging
from conduit_dispatcher.answers import Answer
from conduit_dispatcher.breaker import Rules
from conduit_dispatcher.calls import Call, CallBuilder
from conduit_dispatcher.deliver import Deliverer
from conduit_dispatcher.door import Door
from conduit_dispatcher.endpoints import Endpoints
from conduit_dispatcher.lanes import HURRY
from conduit_dispatcher.links import LinkMaker
from conduit_dispatcher.mails import Mails
from conduit_dispatcher.pacing import Pacer, Patience
from conduit_dispatcher.places import Places
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.records import attempt_of, delivery_of, mail_to_keep, tell
from conduit_dispatcher.retry import RetrySchedule
from conduit_dispatcher.sender import Sender
from conduit_dispatcher.settings import DispatcherSettings
from conduit_dispatcher.waiting import WaitingRoom
from tests.load import cpu, servers
from tests.load.documents import COLLECTIONS, documents_of
from tests.load.signed_mail import Signer
from tests.support.mailroom import accepted
from tests.support.store_servers import StoreServer

SIZE = 4096
UNDER_WAY = DispatcherSettings.model_fields["dispatcher_prefetch"].default

_WEBHOOKS = 20
_PLAIN_BATCH = 100
_MONTH = timedelta(days=30)
_DELIVERED = Answer(Result.DELIVERED, 200, None, 3)


@dataclass
class Row:
    """One way to record, and what each round of it took for one call, in µs of CPU."""

    name: str
    run: Callable[[Sequence[Any]], Awaitable[None]]
    prepare: Callable[[int], Sequence[Any]]
    here: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)


class _Known:
    """All that stands in for a part whose cost is measured elsewhere."""

    def __init__(self, mail: ParsedMail, call: Call) -> None:
        self._mail = mail
        self._call = call

    async def read(self, _event: MailAccepted, **_: object) -> ParsedMail:
        return self._mail

    async def build(self, *_: object) -> Call:
        return self._call

    async def post(self, *_: object, **__: object) -> Answer:
        return _DELIVERED


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        _store_server(Path(directory)) as (name, url, pid),
        (Path(directory) / "log").open("w") as log,
        redirect_stderr(log),
    ):
        configure_logging("dispatcher", "info")
        print(f"store: {name}; {arguments.rounds} rounds of {arguments.calls} calls,", end=" ")
        print(f"mails of {SIZE} octets, {UNDER_WAY} at a time")
        uvloop.run(_measure(url, pid, arguments.calls, arguments.rounds))


@contextmanager
def _store_server(directory: Path) -> Iterator[tuple[str, str, int]]:
    """Run a store; yield its name, URL and process id."""
    if servers.SECANTUSD_RS.exists():
        with servers.secantusd_rs(directory) as (url, pid):
            yield "secantusd-rs", url, pid
        return
    with StoreServer("embedded", directory / "store") as server:
        yield "embedded", server.url, server.pid


async def _measure(url: str, store_pid: int, calls: int, rounds: int) -> None:
    async with open_store(StoreSettings(mongodb_url=url)) as store:
        await ensure_indexes(store)
        webhooks = [await _registered(store) for _ in range(_WEBHOOKS)]
        raw = Signer().mail(SIZE)
        mail = parse(raw)
        async with _recorder(store) as recorder:
            rows = _rows(store, recorder, webhooks, raw, mail)
            for number in range(rounds + 1):  # the first one only warms up
                for row in rows:
                    await _turn(row, store_pid, calls, counts=number > 0)
    print(f"{'':20}{'µs here':>10}{'µs store':>10}")
    for row in rows:
        here, there = statistics.median(row.here), statistics.median(row.store)
        print(f"{row.name:20}{here:10.1f}{there:10.1f}")
    print(f"the Recorder wrote {_mean_batch():.0f} attempts at a time")


async def _turn(row: Row, store_pid: int, calls: int, *, counts: bool) -> None:
    prepared = row.prepare(calls)
    gc.collect()
    gc.freeze()  # as a service does once it is built
    there, here = cpu.of_trees([store_pid]), time.process_time()
    await row.run(prepared)
    here = time.process_time() - here
    await asyncio.to_thread(cpu.wait_until_quiet, [store_pid])
    if counts:
        row.here.append(here / calls * 1e6)
        row.store.append((cpu.of_trees([store_pid]) - there) / calls * 1e6)


def _rows(
    store: Store, recorder: Recorder, webhooks: Sequence[Webhook], raw: bytes, mail: ParsedMail
) -> list[Row]:
    deliverer = _deliverer(store, recorder, _Known(mail, Call(raw, {})))

    def events(calls: int) -> list[tuple[MailAccepted, Webhook]]:
        chosen = [webhooks[number % len(webhooks)] for number in range(calls)]
        return [(accepted(webhook, raw), webhook) for webhook in chosen]

    async def record(come: tuple[MailAccepted, Webhook]) -> None:
        event, webhook = come
        now = utc_now()
        attempt = attempt_of(event, mail, _DELIVERED, now)
        delivery = delivery_of(event, webhook, mail, DeliveryState.DELIVERED, None, now)
        await recorder.record(delivery, attempt, mail_to_keep(event))
        tell(attempt, delivery)

    async def handle(incoming: Incoming) -> None:
        await deliverer.handle(incoming)

    return [
        Row(
            "plain inserts",
            lambda documents: _insert(store, documents),
            lambda calls: [documents_of(event) for event, _ in events(calls)],
        ),
        Row("records", lambda come: _all(record, come), events),
        Row(
            "story",
            lambda arrived: _all(handle, arrived),
            lambda calls: [Incoming(encode(event), False) for event, _ in events(calls)],
        ),
    ]


async def _all(work: Callable[[Any], Awaitable[None]], items: Sequence[Any]) -> None:
    """Do this for each item, as many at a time as a dispatcher has under way."""
    left = iter(items)

    async def some() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*(some() for _ in range(UNDER_WAY)))


async def _insert(store: Store, documents: Sequence[tuple[dict[str, Any], ...]]) -> None:
    for start in range(0, len(documents), _PLAIN_BATCH):
        batch = zip(*documents[start : start + _PLAIN_BATCH], strict=True)
        await asyncio.gather(
            *(
                store.collection(name).insert_many(list(each), ordered=False)
                for name, each in zip(COLLECTIONS, batch, strict=True)
            )
        )


async def _registered(store: Store) -> Webhook:
    webhook_id, now = new_id(Prefix.WEBHOOK), utc_now()
    webhook = Webhook(
        id=webhook_id,
        created_at=now,
        updated_at=now,
        account_id=new_id(Prefix.ACCOUNT),
        address=public_address(webhook_id, "incoming.localhost"),
        target_url="https://endpoint.example/hook",
        secret=Sealed(""),
    )
    await Webhooks(store).insert(webhook)
    return webhook


@asynccontextmanager
async def _recorder(store: Store) -> AsyncIterator[Recorder]:
    recorder = Recorder(
        DeliveryLogs(store, _MONTH), Deliveries(store, _MONTH), Messages(store, _MONTH)
    )
    running = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        running.cancel()
        await asyncio.wait([running])


def _deliverer(store: Store, recorder: Recorder, known: _Known) -> Deliverer:
    mails, deliveries = cast(Mails, known), Deliveries(store, _MONTH)
    month, second = _MONTH, timedelta(seconds=1)
    rules = Rules(failures=10, first=second, longest=month, jitter=0, probe=second)
    return Deliverer(
        lane=HURRY,
        webhook_of=Cached(Webhooks(store).of_id, seconds=3, size=_WEBHOOKS).get,
        webhooks=Webhooks(store),
        notices=Notices(store),
        mails=mails,
        waiting=WaitingRoom(HURRY, mails, deliveries, Holdings(store), recorder, month),
        patience=Patience(UNDER_WAY),
        door=Door(
            Endpoints(EndpointHealths(store), rules, cache=3),
            Places(UNDER_WAY, UNDER_WAY),
            Pacer(Slots(store)),
        ),
        calls=cast(CallBuilder, known),
        links=cast(LinkMaker, None),  # no webhook asks for links
        sender=cast(Sender, known),
        recorder=recorder,
        schedule=RetrySchedule((), 0),
    )


def _mean_batch() -> float:
    attempts = REGISTRY.get_sample_value("conduit_dispatcher_record_batch_sum")
    batches = REGISTRY.get_sample_value("conduit_dispatcher_record_batch_count")
    return (attempts or 0) / (batches or 1)


if __name__ == "__main__":
    main()
