"""Work on mails: short ones at once, large ones in a thread, one at a time."""

import asyncio
from threading import Event, current_thread, main_thread

import pytest

from conduit.mail.aside import MANY, aside


async def test_a_short_mail_is_read_at_once() -> None:
    assert await aside(current_thread, MANY) is main_thread()


async def test_a_large_mail_is_read_beside_the_loop() -> None:
    seen = Event()

    def wait() -> bool:
        return seen.wait(10)

    reading = asyncio.ensure_future(aside(wait, MANY + 1))
    await asyncio.sleep(0)
    assert not reading.done()
    seen.set()
    assert await reading


async def test_large_mails_take_turns() -> None:
    threads = await asyncio.gather(*(aside(current_thread, MANY + 1) for _ in range(5)))
    assert len(set(threads)) == 1
    assert main_thread() not in threads


async def test_what_goes_wrong_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0, MANY + 1)
