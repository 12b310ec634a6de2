"""A dispatcher's way without a dispatcher's work, as a reference: `… QUEUE URL SIZE`.

For each message of a queue it POSTs a ready-made body to `URL`, writes ready-made documents where a
dispatcher has its records, and acknowledges, by the parts that the dispatcher has for it. It reads
and signs nothing, decides nothing, makes no records and no log: this much, a dispatcher that is
made of these parts takes in any case.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

import aiohttp
import uvloop

from conduit.bus.connection import open_bus
from conduit.bus.consumer import Consumer, Done, Incoming
from conduit.bus.publisher import Publisher
from conduit.events import MailAccepted, decode
from conduit.settings import load_or_exit
from conduit.store.connection import Store, open_store
from conduit.store.indexes import ensure_indexes
from conduit.store.inserts import insert_new
from conduit.webhook.egress import Egress
from conduit_dispatcher.sender import open_sender
from conduit_dispatcher.settings import DispatcherSettings
from tests.load.callers import HEADERS
from tests.load.documents import COLLECTIONS, documents_of

READY = b"ready\n"
CALLED = b"called\n"
"""One for each call, once its records are written."""

Documents = tuple[dict[str, Any], ...]


class Records:
    """Writes copies of ready-made documents, for all at once who have come meanwhile."""

    def __init__(self, store: Store) -> None:
        self._collections = [store.collection(name) for name in COLLECTIONS]
        self._waiting: list[tuple[Documents, asyncio.Future[None]]] = []
        self._work = asyncio.Event()

    async def write(self, documents: Documents) -> None:
        """Return when they are written."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((documents, written))
        self._work.set()
        await written

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            waiting, self._waiting = self._waiting, []
            await self._insert([documents for documents, _ in waiting])
            os.write(sys.stderr.fileno(), CALLED * len(waiting))
            for _, written in waiting:
                written.set_result(None)

    async def _insert(self, batch: Sequence[Documents]) -> None:
        by_collection = zip(self._collections, zip(*batch, strict=True), strict=True)
        await asyncio.gather(*(insert_new(each, documents) for each, documents in by_collection))


async def run(queue: str, url: str, size: int) -> None:
    """Call until killed."""
    settings = load_or_exit(DispatcherSettings)
    egress = Egress(settings.egress_allow_http, settings.egress_allowed_networks)
    resolver = aiohttp.ThreadedResolver()
    async with (
        open_store(settings) as store,
        open_bus(settings) as bus,
        open_sender(egress, timeout=30, connect_timeout=10, resolver=resolver) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        await ensure_indexes(store)
        records, body = Records(store), b"x" * size
        tasks.create_task(records.run())
        ready_made: list[Documents] = []
        numbers = count()

        async def handle(incoming: Incoming) -> Done:
            if not ready_made:
                event = decode(incoming.packet)
                assert isinstance(event, MailAccepted)
                ready_made.append(documents_of(event))
            answer = await sender.post(url, body, HEADERS)
            assert answer.http_status == 200, answer
            await records.write(_copies(ready_made[0], next(numbers)))
            return Done()

        publisher = Publisher(bus)
        await publisher.open()
        prefetch = settings.dispatcher_prefetch
        await Consumer(bus, publisher, queue, handle, prefetch=prefetch).start()
        os.write(sys.stderr.fileno(), READY)


def _copies(documents: Documents, number: int) -> Documents:
    delivery, attempt, mail = documents
    own = f"{number:030}"
    return delivery | {"_id": own}, attempt | {"_id": own, "delivery_id": own}, mail | {"_id": own}


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
