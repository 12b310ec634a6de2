"""Look-ups that begin at the same time and are made as one."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from conduit.store.batched import MOST, Batched
from tests.support.polling import eventually


class Answers:
    """Answers each key with itself in upper case, `none` with nothing, when the test lets it."""

    def __init__(self) -> None:
        self.questions: list[list[str]] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.questions.append(list(keys))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return {key: key.upper() for key in keys if key != "none"}


@pytest.fixture
def answers() -> Answers:
    return Answers()


async def test_what_is_asked_for_at_the_same_time_is_one_question(answers: Answers) -> None:
    batched = Batched(answers)
    assert await asyncio.gather(*map(batched.get, ["a", "b", "none"])) == ["A", "B", None]
    assert answers.questions == [["a", "b", "none"]]


async def test_what_is_asked_for_later_is_another_question(answers: Answers) -> None:
    batched = Batched(answers)
    answers.open.clear()
    first = asyncio.ensure_future(batched.get("a"))
    await eventually(lambda: len(answers.questions) == 1, what="the question")
    second = asyncio.ensure_future(batched.get("b"))
    await eventually(lambda: len(answers.questions) == 2, what="the second question")
    answers.open.set()
    assert (await first, await second) == ("A", "B")
    assert answers.questions == [["a"], ["b"]]


async def test_a_question_has_only_so_many_keys(answers: Answers) -> None:
    batched = Batched(answers)
    keys = [f"k{number}" for number in range(2 * MOST + 1)]
    assert await asyncio.gather(*map(batched.get, keys)) == [key.upper() for key in keys]
    assert [len(question) for question in answers.questions] == [MOST, MOST, 1]
    assert await batched.get("a") == "A"


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_later(answers: Answers) -> None:
    batched = Batched(answers)
    answers.failure = RuntimeError("away")
    results = await asyncio.gather(*map(batched.get, "ab"), return_exceptions=True)
    assert [str(result) for result in results] == ["away", "away"]
    answers.failure = None
    assert await batched.get("a") == "A"


async def test_who_gives_up_does_not_take_the_answer_from_others(answers: Answers) -> None:
    batched = Batched(answers)
    answers.open.clear()
    impatient, patient = (asyncio.ensure_future(batched.get(key)) for key in "ab")
    await eventually(lambda: len(answers.questions) == 1, what="the question")
    impatient.cancel()
    await asyncio.wait([impatient])
    answers.open.set()
    assert await patient == "B"
