"""The turnstile: one mail begins in a turn of the loop, and few are put off at a time."""

import asyncio
from itertools import pairwise

import pytest

from conduit_dispatcher import turnstile as module
from conduit_dispatcher.turnstile import Passage, Turnstile

FEW, MANY = 2, 5


@pytest.fixture(autouse=True)
def _numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", FEW)
    monkeypatch.setattr(module, "_MANY", MANY)
    monkeypatch.setattr(module, "_LONGEST_REST", 0.0)


async def turns(count: int) -> None:
    """Let the loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


class Mails:
    """Mails that enter, and give way when they are told to."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self.begun: list[int] = []
        self.aside: list[int] = []
        self.passages: dict[int, Passage] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def enter(self, count: int, *, give_way: bool = False) -> None:
        start = len(self.tasks)
        for number in range(start, start + count):
            self.tasks.append(asyncio.create_task(self._go(number, give_way)))

    async def _go(self, number: int, give_way: bool) -> None:
        passage = self.passages[number] = await self._turnstile.enter()
        self.begun.append(number)
        if give_way:
            await passage.give_way()
            self.aside.append(number)

    def leave(self, number: int) -> None:
        self.passages[number].leave()


@pytest.fixture
async def turnstile() -> Turnstile:
    return Turnstile()


@pytest.fixture
async def mails(turnstile: Turnstile) -> Mails:
    return Mails(turnstile)


async def test_one_begins_in_a_turn_in_the_order_in_which_they_came(mails: Mails) -> None:
    mails.enter(20)
    seen = []
    while len(mails.begun) < 20:
        seen.append(len(mails.begun))
        await turns(1)
    assert mails.begun == list(range(20))
    assert max(later - earlier for earlier, later in pairwise(seen)) == 1


async def test_a_turn_is_taken_though_nobody_leaves(mails: Mails) -> None:
    """A call takes as long as it takes, and is in nobody's way."""
    mails.enter(300)
    await turns(400)
    assert len(mails.begun) == 300


async def test_few_are_put_off_at_a_time_while_there_is_mail_in_a_hurry(
    turnstile: Turnstile, mails: Mails
) -> None:
    turnstile.hurry()
    mails.enter(10, give_way=True)
    await turns(30)
    assert (len(mails.begun), mails.aside) == (10, [0, 1])
    mails.leave(1)
    mails.leave(1)
    await turns(5)
    assert mails.aside == [0, 1, 2]


async def test_a_place_rests_for_longer_than_it_was_taken(
    turnstile: Turnstile, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    class Rest:
        def __init__(self, seconds: float, _then: object) -> None:
            rests.append(seconds)

    monkeypatch.setattr(module, "_LONGEST_REST", 1.0)
    turnstile.hurry()
    mails.enter(3, give_way=True)
    await turns(20)
    monkeypatch.setattr(turnstile._loop, "call_later", Rest)
    began = turnstile._loop.time()
    mails.leave(0)
    took = turnstile._loop.time() - began
    await turns(10)
    assert mails.aside == [0, 1]
    assert len(rests) == 1
    assert 0 < rests[0] <= 1.0
    assert rests[0] > took


async def test_more_are_while_there_is_none(mails: Mails) -> None:
    mails.enter(10, give_way=True)
    await turns(30)
    assert mails.aside == list(range(MANY))


async def test_when_the_hurry_is_over_all_go_on(
    turnstile: Turnstile, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    turnstile.hurry()
    mails.enter(10, give_way=True)
    await turns(30)
    monkeypatch.setattr(module, "_LATELY", 0.0)
    mails.leave(0)
    await turns(10)
    assert len(mails.aside) == 1 + MANY


async def test_who_is_called_passes_those_who_wait_to_be_put_off(
    turnstile: Turnstile, mails: Mails
) -> None:
    turnstile.hurry()
    mails.enter(10, give_way=True)
    await turns(30)
    mails.enter(3)
    await turns(10)
    assert mails.begun[-3:] == [10, 11, 12]


async def test_who_was_not_put_off_leaves_without_a_trace(
    turnstile: Turnstile, mails: Mails
) -> None:
    turnstile.hurry()
    mails.enter(3)
    await turns(10)
    for number in range(3):
        mails.leave(number)
    mails.enter(5, give_way=True)
    await turns(20)
    assert mails.aside == [3, 4]


async def test_who_gives_up_takes_nobodys_turn(turnstile: Turnstile, mails: Mails) -> None:
    mails.enter(3)
    await turns(1)
    mails.tasks[1].cancel()
    await turns(10)
    assert mails.begun == [0, 2]
