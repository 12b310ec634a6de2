"""Mail that flows while a part of Conduit is killed, restarted or moved, and what comes of it.

A run sends mail all the time, disturbs one part after another, and counts what the endpoint got
against what the ingest says to have accepted: how soon mail flowed again, which calls were made
twice, what was lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from conduit.model.delivery import DeliveryState
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.infrastructure import Broker
from tests.support.polling import eventually
from tests.support.traffic import AcceptedMails, Arrivals, Load

PREFETCH = 2 * 200
"""Deliveries under way in a dispatcher, those of both lanes, which may all be repeated when it or a
neighbour dies."""

BACK = 10.0
"""Seconds within which mail flows again."""

_PATIENCE = 60.0  # seconds after which a run is given up that has broken its promise
_LOOK = 0.05
_QUERIED = 100  # deliveries that are looked for at once: the embedded store is slow with many


@dataclass(frozen=True)
class Disturbance:
    """What is done to a part, once it is `ready` for that."""

    part: str
    act: Callable[[], None]
    ready: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Effect:
    """What came of a disturbance. `back`: seconds until mail flowed again, None: it did not."""

    part: str
    at: float
    back: float | None
    repeated: int

    def broken(self, back_within: float, most_repeated: int) -> bool:
        """Whether a promise is broken."""
        return self.back is None or self.back > back_within or self.repeated > most_repeated


@dataclass(frozen=True)
class Report:
    """What came of a run; `in_doubt` are mails that arrived though their sender got no 250."""

    effects: Sequence[Effect]
    most_repeated: int
    accepted: int
    lost: int
    unrecorded: int
    in_doubt: int

    def complaints(self, back_within: float = BACK) -> list[str]:
        """Return what was promised and not kept."""
        broken = [
            str(effect) for effect in self.effects if effect.broken(back_within, self.most_repeated)
        ]
        if self.lost:
            broken.append(f"{self.lost} of {self.accepted} accepted mails were lost")
        if self.unrecorded:
            broken.append(f"{self.unrecorded} mails have no record of their delivery")
        return broken

    def lines(self) -> list[str]:
        """Return a table."""
        head = f"{'':>3} {'disturbed':28} {'flowing again after':>20} {'repeated':>10}"
        rows = [
            f"{number:>3} {effect.part:28} {_seconds(effect.back):>20} {effect.repeated:>10}"
            for number, effect in enumerate(self.effects, start=1)
        ]
        return [head, *rows, self._sum()]

    def _sum(self) -> str:
        longest = max((e.back for e in self.effects if e.back is not None), default=None)
        repeated = sum(effect.repeated for effect in self.effects)
        return (
            f"longest {_seconds(longest)}; accepted {self.accepted}, lost {self.lost}, "
            f"without a record {self.unrecorded}, arrived without a 250 {self.in_doubt}, "
            f"repeated {repeated} (at most {self.most_repeated} each time)"
        )


@dataclass
class Run:
    """Mail on its way, to be disturbed."""

    accepted: AcceptedMails
    arrivals: Arrivals
    store: Store
    dispatchers: int
    sending: asyncio.Task[None]
    _effects: list[Effect] = field(default_factory=list)

    @property
    def most_repeated(self) -> int:
        """How many calls one disturbance may have made twice."""
        return PREFETCH * self.dispatchers

    async def flows(self) -> None:
        """Return when mail flows at first."""
        since = time.time()
        await eventually(
            lambda: self.arrivals.flowing(since, under_way=self.most_repeated),
            within=_PATIENCE,
            what="mail that flows",
        )

    async def disturb(self, disturbance: Disturbance) -> Effect:
        """Disturb a part, and return when mail flows again, or does not for a long time."""
        await asyncio.to_thread(disturbance.ready)
        self.arrivals.look()
        at, repeated = time.time(), len(self.arrivals.repeated)
        await asyncio.to_thread(disturbance.act)
        again = await self._flowing_again(at)
        back = None if again is None else again - at
        effect = Effect(disturbance.part, at, back, len(self.arrivals.repeated) - repeated)
        self._effects.append(effect)
        return effect

    async def end(self) -> Report:
        """Send no more, wait until all that was accepted has arrived, and say what came of it."""
        self.sending.cancel()
        await asyncio.wait([self.sending])
        accepted = self.accepted.ids()
        with suppress(AssertionError):
            await eventually(lambda: accepted <= self._arrived(), within=_PATIENCE)
        lost = accepted - self._arrived()
        unrecorded = await self._unrecorded(accepted - lost)
        return Report(
            effects=self._counted(),
            most_repeated=self.most_repeated,
            accepted=len(accepted),
            lost=len(lost),
            unrecorded=len(unrecorded),
            in_doubt=len(self._arrived() - accepted),
        )

    async def _flowing_again(self, since: float) -> float | None:
        def again() -> float | None:
            return self.arrivals.flowing(since, under_way=self.most_repeated)

        with suppress(AssertionError):  # told in the report, beside what else came of it
            return await eventually(again, within=_PATIENCE)
        return None

    async def _unrecorded(self, deliveries: set[str]) -> set[str]:
        left = set(deliveries)

        async def recorded() -> bool:
            some = sorted(left)[:_QUERIED]
            left.difference_update(await _delivered(self.store, some))
            return not left

        with suppress(AssertionError):
            await eventually(recorded, within=_PATIENCE)
        return left

    def _arrived(self) -> set[str]:
        self.arrivals.look()
        return set(self.arrivals.first)

    def _counted(self) -> list[Effect]:
        """Return the effects with all repetitions up to the next one, or to the end."""
        ends = [effect.at for effect in self._effects[1:]] + [float("inf")]
        return [
            Effect(
                effect.part,
                effect.at,
                effect.back,
                sum(effect.at < repeated <= end for repeated in self.arrivals.repeated),
            )
            for effect, end in zip(self._effects, ends, strict=True)
        ]


@asynccontextmanager
async def mail_flows(
    stack: Stack,
    recipient: str,
    receiver: Receiver,
    *,
    rate: float,
    dispatchers: int = 1,
) -> AsyncIterator[Run]:
    """Send mail until the end of the block, and return when it flows."""
    accepted = AcceptedMails(stack.log("smtp-ingest"))
    load = Load(urlsplit(stack.urls.smtp).netloc, recipient, rate)
    sending = asyncio.create_task(load.run())
    try:
        async with open_store(StoreSettings(mongodb_url=stack.urls.mongodb)) as store:
            run = Run(accepted, Arrivals(receiver), store, dispatchers, sending)
            await run.flows()
            yield run
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        accepted.close()


async def _delivered(store: Store, delivery_ids: Collection[str]) -> set[str]:
    """Return those of these deliveries that are on record as delivered."""
    wanted = {"_id": {"$in": list(delivery_ids)}, "state": DeliveryState.DELIVERED}
    return {found["_id"] async for found in store.collection("deliveries").find(wanted, {"_id": 1})}


def kill(stack: Stack, program: str, part: str | None = None) -> Disturbance:
    """End a program with SIGKILL; its supervisor starts it again."""
    name = part or program
    if program == "rabbitmq":
        broker = Broker(stack)
        return Disturbance(name, broker.kill, broker.wait_until_killable)
    return Disturbance(
        name, lambda: _kill(stack, program), lambda: _wait_until_killable(stack, program)
    )


def _kill(stack: Stack, program: str) -> None:
    stack.kill(program)


def _wait_until_killable(stack: Stack, program: str) -> None:
    """Return when the supervisor takes a program for started: one that ends sooner is given up."""
    deadline = time.monotonic() + _PATIENCE
    while stack.states()[program] != "RUNNING":
        assert time.monotonic() < deadline, f"{program} does not run"
        time.sleep(_LOOK)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
