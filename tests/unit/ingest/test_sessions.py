"""How many sessions there may be, and how they end."""

import asyncio
from contextlib import ExitStack

import pytest

from conduit_smtp_ingest.sessions import OPEN, Sessions


class Session:
    """Counts how often it was asked to end."""

    def __init__(self) -> None:
        self.asked = 0

    def retire(self) -> None:
        self.asked += 1


async def test_there_are_so_many_places_and_a_session_gives_its_own_back() -> None:
    sessions = Sessions(2, 9)
    with sessions.entered(Session()) as first:
        with sessions.entered(Session()) as second, sessions.entered(Session()) as third:
            assert (first, second, third) == (True, True, False)
            assert OPEN._value.get() == 2
        with sessions.entered(Session()) as fourth:
            assert fourth
    assert OPEN._value.get() == 0


async def test_a_session_that_fails_gives_its_place_back() -> None:
    sessions = Sessions(1, 1)

    def fail() -> None:
        with sessions.entered(Session()) as admitted, sessions.of_address("192.0.2.1") as alone:
            assert admitted
            assert alone
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with sessions.entered(Session()) as admitted, sessions.of_address("192.0.2.1") as of_address:
        assert admitted
        assert of_address


async def test_an_address_has_its_places_whatever_others_have() -> None:
    sessions = Sessions(9, 2)
    with sessions.of_address("192.0.2.1") as first:
        with sessions.of_address("192.0.2.1") as second, sessions.of_address("192.0.2.1") as third:
            assert (first, second, third) == (True, True, False)
            with sessions.of_address("192.0.2.2") as other:
                assert other
        with sessions.of_address("192.0.2.1") as again:
            assert again


async def test_of_an_address_without_sessions_nothing_is_remembered() -> None:
    sessions = Sessions(9, 0)
    for number in range(10):
        with sessions.of_address(f"192.0.2.{number}") as refused:
            assert not refused
    sessions = Sessions(9, 1)
    with sessions.of_address("192.0.2.1"), sessions.of_address("192.0.2.1"):
        pass
    assert not sessions._of_address


async def test_a_stop_asks_all_and_waits_for_the_last() -> None:
    sessions = Sessions(9, 9)
    one, other = Session(), Session()
    with ExitStack() as stack:
        stack.enter_context(sessions.entered(one))
        with sessions.entered(other):
            stopping = asyncio.ensure_future(sessions.retire())
            await asyncio.sleep(0)
            assert (one.asked, other.asked) == (1, 1)
        await asyncio.sleep(0)
        assert not stopping.done()
    await asyncio.wait_for(stopping, 10)
    await asyncio.wait_for(sessions.retire(), 10)
    assert one.asked == 1
