"""What endpoints say, as it is put into words and numbers."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_dispatcher.answers import _retry_after, _shown

DATE_LIKE = r"\w{3}, \d{1,25} (Jan|Dec) \d{1,25} \d{1,25}:\d\d:\d\d [+-]?\d{0,9}"


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("0", timedelta(0)),
        ("120", timedelta(seconds=120)),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("9" * 4000, timedelta(seconds=999_999_999)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", timedelta(0)),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 99999999999999999999:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +999999999999", None),
    ],
)
def test_retry_after(value: str | None, wait: timedelta | None) -> None:
    assert _retry_after(value) == wait


def test_retry_after_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wait = _retry_after(in_an_hour)
    assert wait is not None
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    far = _retry_after("Fri, 31 Dec 9999 23:59:59 GMT")
    assert far is not None
    assert far > timedelta(days=365 * 1000)


@given(
    st.text()
    | st.from_regex(
        r"\w{3}, \d{1,25} (Jan|Dec) \d{1,25} \d{1,25}:\d\d:\d\d [+-]?\d{0,9}", fullmatch=True
    )
)
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_any_text_is_a_wait_or_none(value: str) -> None:
    wait = _retry_after(value)
    assert wait is None or wait >= timedelta(0)


@given(st.binary(max_size=600))
def test_any_octets_are_shown_as_a_line_that_can_be_kept(octets: bytes) -> None:
    shown = _shown(octets.decode(errors="surrogateescape"))
    shown.encode()
    assert len(shown) <= 500
    assert not re.search(r"[\x00-\x1f\x7f]", shown)


def test_text_is_shown_as_it_is() -> None:
    assert _shown("Café – 中文") == "Café – 中文"
    assert _shown("caf\udcff\r\nX: y") == "caf\ufffd\ufffd\ufffdX: y"
    assert _shown(None) == ""
