"""JSON is read strictly, and what is wrong with it is told without its values."""

import json
from contextlib import suppress
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from conduit_api.body import parse_json, read_query
from conduit_api.errors import BadRequest, Unprocessable
from conduit_api.pages import PageQuery

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)


@given(values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1,"a":2}',
        b'{"b":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\x01"}',
        b"[" * 100_000,
        b"9" * 10_000,
        b"{} {}",
    ],
)
def test_what_is_not_json_is_refused(octets: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_json(octets)
    assert refusal.value.body.code == "malformed_json"


@given(st.binary(max_size=200))
def test_no_octets_cause_another_error(octets: bytes) -> None:
    with suppress(BadRequest):
        parse_json(octets)


def query(text: str) -> PageQuery:
    return read_query(make_mocked_request("GET", f"/?{text}"), PageQuery)


def test_a_page_has_defaults() -> None:
    assert query("") == PageQuery(page=1, page_size=20)


def test_parameters_of_others_are_passed_over() -> None:
    assert query("page=3&utm_source=mail") == PageQuery(page=3)


@pytest.mark.parametrize(
    "text", ["page=0", "page=-1", "page=x", "page=1.5", "page=", "page_size=101"]
)
def test_a_page_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        query(text)
