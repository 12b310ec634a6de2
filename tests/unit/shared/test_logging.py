"""Logs: one JSON object a line, whatever was put into it."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.telemetry.logging import JsonFormatter


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
