"""Pages and their links; moments; and the cursor of replays."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from conduit_api.body import read_query
from conduit_api.fields import Moment
from conduit_api.pages import page_headers
from conduit_api.resources.logs import LogQuery
from conduit_api.resources.replays import cursor_of, position_of

MOMENTS: TypeAdapter[datetime] = TypeAdapter(Moment)


def links(query: str, total: int) -> dict[str, dict[str, list[str]]]:
    request = make_mocked_request("GET", f"/logs?{query}")
    headers = page_headers(request, read_query(request, LogQuery), total)
    assert headers["X-Total-Count"] == str(total)
    found = {}
    for link in headers["Link"].split(", "):
        url, _, relation = link.partition("; ")
        found[relation[5:-1]] = parse_qs(urlsplit(url[1:-1]).query, keep_blank_values=True)
    return found


@pytest.mark.parametrize(
    ("page", "total", "relations"),
    [
        (1, 0, {"first": 1, "last": 1}),
        (1, 20, {"first": 1, "last": 1}),
        (1, 21, {"first": 1, "next": 2, "last": 2}),
        (2, 60, {"first": 1, "prev": 1, "next": 3, "last": 3}),
        (3, 60, {"first": 1, "prev": 2, "last": 3}),
        (9, 60, {"first": 1, "prev": 3, "last": 3}),
    ],
)
def test_links_lead_to_pages_that_are_there(
    page: int, total: int, relations: dict[str, int]
) -> None:
    found = links(f"page={page}", total)
    assert {name: int(query["page"][0]) for name, query in found.items()} == relations


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_filters_come_back_as_they_were_whatever_they_hold(sender: str) -> None:
    request = make_mocked_request("GET", "/logs").clone(
        rel_url=make_mocked_request("GET", "/logs").rel_url.with_query({"sender": sender})
    )
    header = page_headers(request, LogQuery(sender=sender), 1)["Link"]
    assert header.isascii()
    assert header.isprintable()
    assert header.count("<") == header.count(">") == header.count(", ") + 1
    for link in header.split(", "):
        query = urlsplit(link[1 : link.index(">")]).query
        assert parse_qs(query, keep_blank_values=True)["sender"] == [sender]


def test_only_known_parameters_come_back() -> None:
    assert set(links("status=failed&utm=x&from=2026-01-01T00:00:00Z", 1)["first"]) == {
        "page",
        "page_size",
        "status",
        "from",
    }


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-04-02T12:00:00Z", datetime(2026, 4, 2, 12, tzinfo=UTC)),
        ("2026-04-02t12:00:00z", datetime(2026, 4, 2, 12, tzinfo=UTC)),
        ("2026-04-02T12:00:00+02:00", datetime(2026, 4, 2, 10, tzinfo=UTC)),
        ("2026-04-02T12:00:00.123987654Z", datetime(2026, 4, 2, 12, 0, 0, 123_000, UTC)),
    ],
)
def test_moments_are_read(text: str, moment: datetime) -> None:
    assert MOMENTS.validate_python(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1700000000",
        "2026-04-02",
        "2026-04-02T12:00:00",
        "2026-04-02 12:00:00Z",
        "2026-04-02T12:00Z",
        "2026-02-30T12:00:00Z",
        "2026-04-02T24:00:01Z",
        "0001-01-01T00:00:00+01:00",
        "２０２６-04-02T12:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENTS.validate_python(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_cursor_tells_the_position_it_was_made_of(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    position = (whole, "dlv_01arz3ndektsv4rrffq69g5fav")
    assert position_of(cursor_of(position)) == position
