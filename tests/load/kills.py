"""Endurance run: parts are killed with SIGKILL at random moments while mail flows.

    python -m tests.load.kills [--kills 20] [--seed N] [--dispatchers 2] [--store secantusd-rs]

After each kill mail must flow again within ten seconds, with no more repeated calls than were
under way; in the end every mail that got its 250 must have arrived and be on record. Prints a
table, and exits with 1 when one of these promises is broken. That mail flows is certain when more
has arrived than could have been under way (both lanes of each dispatcher): of the time that is told
for it, with two dispatchers, the last 800 mails take 2.7 s at the usual rate.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from conduit_local.programs import ALL
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.disturbances import Disturbance, Report, kill, mail_flows
from tests.support.stacks import dispatcher_beside, patiently
from tests.support.store_servers import StoreServer, at_hand
from tests.support.user import open_user

PARTS = ("dispatcher", "rabbitmq", "store", "smtp-ingest")
_LONGEST_PAUSE = 3.0


@dataclass(frozen=True)
class Setting:
    """What is run, and how."""

    kills: int
    seed: int
    dispatchers: int
    store: str
    rate: float
    parts: Sequence[str]


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--dispatchers", type=int, default=1, choices=(1, 2))
    parser.add_argument("--store", default="embedded", choices=tuple(at_hand()))
    parser.add_argument("--rate", type=float, default=300, help="mails a second")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    setting = Setting(**vars(parser.parse_args()))
    print(
        f"{setting.kills} kills, --seed {setting.seed}, {setting.dispatchers} dispatcher(s), "
        f"store: {setting.store}, {setting.rate:g} mails/s",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(run(setting, Path(directory)))
    print("\n".join(report.lines()))
    sys.exit("\n".join(report.complaints()) or 0)


async def run(setting: Setting, directory: Path) -> Report:
    """Start everything, kill, and count."""
    chance = random.Random(setting.seed)
    async with AsyncExitStack() as cleanup:
        store = None
        if setting.store != "embedded":
            (directory / "store").mkdir()
            store = cleanup.enter_context(StoreServer(setting.store, directory / "store"))
        stack = cleanup.enter_context(patiently(_stack(directory / "stack", store)))
        kills = {part: kill(stack, part) for part in PARTS if part != "store"}
        kills["store"] = _kill_store(store) if store else kill(stack, "store")
        if setting.dispatchers == 2:
            beside = cleanup.enter_context(
                patiently(dispatcher_beside(stack, directory / "beside"))
            )
            kills["dispatcher 2"] = kill(beside, "dispatcher", "dispatcher 2")
        receiver = await cleanup.enter_async_context(Receiver())
        user = await cleanup.enter_async_context(open_user(stack.urls.api))
        webhook = await user.webhook(receiver.url)
        mail = await cleanup.enter_async_context(
            mail_flows(
                stack,
                webhook["address"],
                receiver,
                rate=setting.rate,
                dispatchers=setting.dispatchers,
            )
        )
        for part in _order(setting, [part for part in kills if _is_among(part, setting)], chance):
            await asyncio.sleep(chance.uniform(0, _LONGEST_PAUSE))
            effect = await mail.disturb(kills[part])
            print(f"  {effect}, machine's load {os.getloadavg()[0]:.0f}", flush=True)
        return await mail.end()


def _stack(directory: Path, store: StoreServer | None) -> Stack:
    if store is None:
        return Stack.isolated(directory)
    others = [name for name in ALL if name != "store"]
    return Stack.isolated(directory, others, {"CONDUIT_MONGODB_URL": store.url})


def _kill_store(store: StoreServer) -> Disturbance:
    def killed() -> None:
        store.kill()
        store.start()

    return Disturbance("store", killed)


def _order(setting: Setting, parts: list[str], chance: random.Random) -> Iterator[str]:
    """Yield the parts in random order, each as often as the others."""
    left: list[str] = []
    for _ in range(setting.kills):
        if not left:
            left = chance.sample(parts, len(parts))
        yield left.pop()


def _is_among(part: str, setting: Setting) -> bool:
    return any(part.startswith(chosen) for chosen in setting.parts)


if __name__ == "__main__":
    main()
