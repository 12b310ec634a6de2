"""How many connections there are, who gets which, and who waits."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from conduit_dispatcher.exchange import Connection
from conduit_dispatcher.failures import Unconnected
from conduit_dispatcher.pool import Pool
from conduit_dispatcher.target import Endpoint
from tests.support.polling import eventually

ONE, OTHER, THIRD = (Endpoint(True, f"{name}.example", 443) for name in ("one", "other", "third"))


class Line(asyncio.Transport):
    """A transport that leads nowhere."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.closing = False
        self.aborted = False
        self.ends = True
        self._connection = connection

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        if not self.closing and self.ends:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True


class Opener:
    """Opens connections that lead nowhere, or says why it does not."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.failure: Exception | None = None
        self.ends_at_once = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def open(self, endpoint: Endpoint, new: Callable[[], Connection]) -> Connection:
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        connection = new()
        connection.connection_made(Line(connection))
        connection.is_reusable = True  # as after a call that ended in order
        self.opened.append(connection)
        if self.ends_at_once:
            connection._transport.close()
            await connection.gone
        return connection


@pytest.fixture
async def opener() -> Opener:
    """What opens connections."""
    return Opener()


@pytest.fixture
async def pool(opener: Opener) -> Pool:
    """A pool of two connections."""
    return Pool(opener, limit=2)


def line(connection: Connection) -> Line:
    """Return what a connection stands on."""
    return cast("Line", connection._transport)


async def waiting(pool: Pool, endpoint: Endpoint) -> asyncio.Task[Connection]:
    """Have somebody ask for another connection; return when he waits."""
    before = len(pool._waiting)
    task = asyncio.create_task(pool.another(endpoint))
    await eventually(lambda: len(pool._waiting) > before, what="the wait")
    return task


async def test_what_is_released_is_kept_for_its_endpoint(pool: Pool) -> None:
    connection = await pool.another(ONE)
    assert pool.kept(ONE) is None
    pool.release(connection)
    assert pool.kept(OTHER) is None
    assert pool.kept(ONE) is connection
    assert pool.kept(ONE) is None


async def test_the_one_that_was_used_last_goes_first(pool: Pool) -> None:
    first, second = [await pool.another(ONE) for _ in range(2)]
    pool.release(second)
    pool.release(first)
    assert pool.kept(ONE) is first
    assert pool.kept(ONE) is second


async def test_what_did_not_end_in_order_is_closed_and_makes_room(pool: Pool) -> None:
    for _ in range(5):
        connection = await pool.another(ONE)
        connection.is_reusable = False
        pool.release(connection)
        assert line(connection).closing
        assert pool.kept(ONE) is None


async def test_one_that_its_endpoint_closes_is_forgotten(pool: Pool, opener: Opener) -> None:
    for _ in range(5):
        connection = await pool.another(ONE)
        pool.release(connection)
        line(connection).close()
        await connection.gone
    assert pool.kept(ONE) is None
    assert len(opener.opened) == 5


async def test_nor_is_one_lent_that_is_about_to_end(pool: Pool) -> None:
    connections = [await pool.another(ONE) for _ in range(2)]
    for connection in connections:
        pool.release(connection)
        line(connection).close()
    assert pool.kept(ONE) is None
    await asyncio.gather(*(connection.gone for connection in connections))
    for _ in range(2):
        await pool.another(ONE)
    (await waiting(pool, ONE)).cancel()


async def test_the_longest_kept_one_makes_room(pool: Pool) -> None:
    first, second = await pool.another(ONE), await pool.another(OTHER)
    pool.release(second)
    pool.release(first)
    await pool.another(THIRD)
    assert line(second).closing
    assert not line(first).closing
    assert pool.kept(OTHER) is None
    assert pool.kept(ONE) is first


async def test_callers_wait_in_order(pool: Pool, opener: Opener) -> None:
    first, second = await pool.another(ONE), await pool.another(ONE)
    third, fourth = await waiting(pool, ONE), await waiting(pool, OTHER)
    pool.release(first)
    assert await third is first
    assert not fourth.done()
    pool.release(second)
    other = await fourth
    assert other.endpoint == OTHER
    assert line(second).closing
    assert len(opener.opened) == 3


async def test_who_leaves_is_passed_over(pool: Pool) -> None:
    first, second = await pool.another(ONE), await pool.another(ONE)
    third, fourth = await waiting(pool, ONE), await waiting(pool, ONE)
    third.cancel()
    await asyncio.wait([third])
    pool.release(first)
    assert await fourth is first
    pool.release(second)
    assert pool.kept(ONE) is second


@pytest.mark.parametrize("endpoint", [ONE, OTHER])
async def test_what_comes_to_one_who_just_left_goes_on(pool: Pool, endpoint: Endpoint) -> None:
    first, _ = await pool.another(ONE), await pool.another(ONE)
    third, fourth = await waiting(pool, endpoint), await waiting(pool, ONE)
    pool.release(first)
    third.cancel()
    connection = await fourth
    assert third.cancelled()
    assert connection.is_open()
    assert (connection is first) is (endpoint == ONE)


async def test_one_that_cannot_be_opened_makes_room(pool: Pool, opener: Opener) -> None:
    opener.failure = Unconnected("nobody there")
    for _ in range(5):
        with pytest.raises(Unconnected):
            await pool.another(ONE)
    opener.go_on.clear()
    for _ in range(5):
        task = asyncio.create_task(pool.another(ONE))
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])
    opener.go_on.set()
    opener.failure = None
    for _ in range(2):
        await pool.another(ONE)


async def test_the_next_in_line_tries_when_one_cannot_be_opened(pool: Pool, opener: Opener) -> None:
    await pool.another(ONE)
    opener.go_on.clear()
    opener.failure = Unconnected("nobody there")
    second = asyncio.create_task(pool.another(ONE))
    third = await waiting(pool, OTHER)
    opener.go_on.set()
    outcomes = await asyncio.gather(second, third, return_exceptions=True)
    assert all(isinstance(outcome, Unconnected) for outcome in outcomes)


async def test_what_is_unused_for_long_is_closed(opener: Opener) -> None:
    pool = Pool(opener, limit=2, kept_seconds=0.02)
    first, second = await pool.another(ONE), await pool.another(OTHER)
    pool.release(first)
    await eventually(lambda: line(first).closing, what="its end")
    assert not line(second).closing
    pool.release(second)
    await eventually(lambda: line(second).closing, what="its end")
    for _ in range(2):
        await pool.another(ONE)


async def test_each_is_kept_for_its_own_time(opener: Opener) -> None:
    pool, loop = Pool(opener, limit=2, kept_seconds=0.2), asyncio.get_running_loop()
    first, second = await pool.another(ONE), await pool.another(OTHER)
    pool.release(first)
    later = loop.time() + 0.01
    await eventually(lambda: loop.time() > later, what="a later moment")
    pool.release(second)
    await eventually(lambda: line(first).closing, what="the end of the first")
    await eventually(lambda: line(second).closing, what="the end of the second")


async def test_one_that_ends_as_it_is_opened_is_not_held(pool: Pool, opener: Opener) -> None:
    opener.ends_at_once = True
    for _ in range(5):
        connection = await pool.another(ONE)
        assert connection.gone.done()
        pool.release(connection)
    assert pool._all == set()


async def test_who_does_not_let_go_is_not_waited_for_at_the_end(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conduit_dispatcher.pool._GOODBYE", 0.01)
    connection = await pool.another(ONE)
    line(connection).ends = False
    await pool.close()
    assert line(connection).aborted


async def test_all_are_closed_at_the_end(pool: Pool) -> None:
    kept, lent = await pool.another(ONE), await pool.another(OTHER)
    pool.release(kept)
    await pool.close()
    assert kept.gone.done()
    assert lent.gone.done()
    pool.release(lent)
    await pool.close()
