"""Logs: one JSON object a line, whatever was put into it, and written as whole lines."""

import asyncio
import json
import logging
import select
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.telemetry.logging import JsonFormatter, LineHandler


def line(message: str = "mail.accepted", **extra: Any) -> dict[str, Any]:
    """Return what is written for `log.info(message, extra=extra)`."""
    logger = logging.getLogger("conduit.test")
    record = logger.makeRecord("conduit.test", logging.INFO, "", 0, message, (), None, extra=extra)
    written = JsonFormatter("smtp-ingest").format(record)
    assert "\n" not in written
    parsed: dict[str, Any] = json.loads(written)
    return parsed


def test_a_line_has_its_event_and_its_fields() -> None:
    written = line(message_id="msg_1", size=3, webhook_ids=["wh_1"], tls=None)
    at = datetime.fromisoformat(written.pop("at"))
    assert at.tzinfo is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 5
    assert written == {
        "level": "info",
        "service": "smtp-ingest",
        "event": "mail.accepted",
        "message_id": "msg_1",
        "size": 3,
        "webhook_ids": ["wh_1"],
        "tls": None,
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\r\nb\x00\u2028", "a\r\nb\x00\u2028"),
        ('"}\n{"', '"}\n{"'),
        ("\udc80", "\udc80"),
        (2**70, 2**70),
        (b"\xff", "b'\\xff'"),
        ({1: "x"}, {"1": "x"}),
        (datetime(2028, 1, 1, tzinfo=UTC), "2028-01-01T00:00:00+00:00"),
        (ValueError("bad"), "bad"),
    ],
)
def test_any_value_can_be_logged(value: object, written: object) -> None:
    assert line(value=value)["value"] == written


@given(st.text(st.characters()), st.text(st.characters(), min_size=1))
def test_any_text_can_be_logged(message: str, value: str) -> None:
    written = line(message.replace("%", "%%"), value=value)
    assert written["value"] == value


def test_a_fault_has_its_traceback() -> None:
    fault = RuntimeError("broken")
    record = logging.makeLogRecord(
        {"msg": "session.fault", "exc_info": (RuntimeError, fault, None)}
    )
    written = json.loads(JsonFormatter("api").format(record))
    assert written["traceback"] == "RuntimeError: broken"
    assert "exc_info" not in written


class Written(BytesIO):
    """What is written, by flushes; with a `fault`, none of it is."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[list[str]] = []
        self.fault: Exception | None = None

    def flush(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.flushed.append(self.getvalue().decode().splitlines())
        self.seek(0)
        self.truncate()


@pytest.fixture
def written() -> Written:
    """What the handler has written."""
    return Written()


@pytest.fixture
def logger(written: Written) -> Iterator[logging.Logger]:
    """A logger with this handler alone."""
    handler, logger = LineHandler(written), logging.getLogger("conduit.test.lines")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_without_a_loop_each_line_is_written_at_once(
    logger: logging.Logger, written: Written
) -> None:
    logger.info("a")
    logger.info("b")
    assert written.flushed == [["a"], ["b"]]


async def test_the_lines_of_one_turn_are_written_together_at_its_end(
    logger: logging.Logger, written: Written
) -> None:
    logger.info("a")
    logger.info("b")
    assert written.flushed == []
    await asyncio.sleep(0)
    assert written.flushed == [["a", "b"]]
    logger.info("c")
    await asyncio.sleep(0)
    assert written.flushed == [["a", "b"], ["c"]]


async def test_a_line_of_another_thread_is_written_at_once_after_those_that_wait(
    logger: logging.Logger, written: Written
) -> None:
    logger.info("a")
    await asyncio.to_thread(logger.info, "b")
    assert list(chain(*written.flushed)) == ["a", "b"]


def test_what_waits_when_a_loop_ends_is_written_by_the_next_one(
    logger: logging.Logger, written: Written
) -> None:
    loop = asyncio.new_event_loop()
    loop.call_soon(loop.stop)
    loop.call_soon(logger.info, "a")
    loop.run_forever()
    loop.close()
    assert written.flushed == []

    async def log() -> None:
        logger.info("b")

    asyncio.run(log())
    assert written.flushed == [["a", "b"]]


async def test_no_more_is_written_at_once_than_a_pipe_keeps_together(
    logger: logging.Logger, written: Written
) -> None:
    lines = ["x" * 1000, "y" * 1000, "z" * 2 * select.PIPE_BUF, "a", "b" * (select.PIPE_BUF - 3)]
    for line in lines:
        logger.info(line)
    await asyncio.sleep(0)
    assert written.flushed == [lines[:2], [lines[2]], lines[3:]]


async def test_what_cannot_be_written_is_told_and_fails_nothing(
    logger: logging.Logger, written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    written.fault = OSError("no space")
    logger.info("lost")
    await asyncio.sleep(0)
    told = capsys.readouterr().err
    assert "OSError: no space" in told
    assert "lost" in told
    written.fault = None
    written.seek(0)
    written.truncate()
    logger.info("kept")
    await asyncio.sleep(0)
    assert written.flushed == [["kept"]]
