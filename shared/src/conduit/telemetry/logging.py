"""Logs as JSON lines on stderr, one wide line for each thing that happened.

`log.info("delivery.attempted", extra={"delivery_id": …})`: the message names the event, the
fields go beside it. JSON escapes whatever a stranger put into them.
"""

import json
import logging
import sys
from datetime import UTC, datetime

import orjson

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# They log each request or frame.
_QUIET = ("aiohttp.access", "aio_pika", "aiormq", "pymongo", "asyncio")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
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


def configure_logging(service: str, level: str) -> None:
    """Send all logs of this process to stderr as JSON."""
    # What our lines do not tell is not found out for each (the logging HOWTO's "Optimization").
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
