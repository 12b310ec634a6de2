"""Logs as JSON lines on stderr, one wide line for each thing that happened.

`log.info("delivery.attempted", extra={"delivery_id": …})`: the message names the event, the
fields go beside it. JSON escapes whatever a stranger put into them.
"""

import asyncio
import json
import logging
import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from io import UnsupportedOperation
from typing import BinaryIO

import orjson

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

_FILE = 64 * 1024  # octets of one write to a file

# They log each request or frame.
_QUIET = ("aiohttp.access", "aio_pika", "aiormq", "pymongo", "asyncio")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": _moment(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # what orjson is too strict for: octets that are no UTF-8, huge numbers
            return json.dumps(line, default=str)


def _moment(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}+00:00"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class LineHandler(logging.Handler):
    """Writes whole lines: those of one turn of an event loop together, the others at once.

    Each write costs as much as a line does without it, and many mails go on in one turn. A write
    has `most` octets, or one line.
    """

    def __init__(self, stream: BinaryIO, most: int = select.PIPE_BUF) -> None:
        super().__init__()
        self._stream = stream
        self._most = most
        self._lines: list[bytes] = []
        self._awaited: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written; one that cannot be is told of on stderr, as `logging` does."""
        try:
            self._lines.append(f"{self.format(record)}\n".encode())
            loop = _running_loop()
            if loop is None:
                self.flush()
            elif self._awaited is not loop:
                loop.call_soon(self._end_of_turn, record)
                self._awaited = loop
        except Exception:  # noqa: BLE001 (what fails to be logged fails nothing else)
            self.handleError(record)

    def _end_of_turn(self, first: logging.LogRecord) -> None:
        try:
            self.flush()
        except Exception:  # noqa: BLE001 (as above)
            self.handleError(first)

    def flush(self) -> None:
        """Write what waits. `logging` calls this too when the process ends."""
        self.acquire()
        try:
            lines, self._lines, self._awaited = self._lines, [], None
            for piece in _pieces(lines, self._most):
                self._stream.write(piece)
                self._stream.flush()
        finally:
            self.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _pieces(lines: Sequence[bytes], most: int) -> Iterator[bytes]:
    """Join lines up to so many octets."""
    joined = b""
    for line in lines:
        if joined and len(joined) + len(line) > most:
            yield joined
            joined = b""
        joined += line
    if joined:
        yield joined


def _whole_at_once(stream: BinaryIO) -> int:
    """Return how many octets a stream keeps together, whoever else writes to it (pipe(7))."""
    try:
        is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except UnsupportedOperation:  # what is none of the system's, as in tests
        is_file = False
    return _FILE if is_file else select.PIPE_BUF


def configure_logging(service: str, level: str) -> None:
    """Send all logs of this process to stderr as JSON."""
    # What our lines do not tell is not found out for each (the logging HOWTO's "Optimization").
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    stream = sys.stderr.buffer
    handler = LineHandler(stream, _whole_at_once(stream))
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
