"""Whatever goes wrong becomes an answer in the one form of errors."""

import json
import logging
from typing import NoReturn

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from conduit.errors import BrokerUnavailable, StoreUnavailable
from conduit_api.errors import Conflict, TooManyRequests, Unauthorized
from conduit_api.observation import REQUEST_ID
from conduit_api.problems import answered_in_json


async def answer_to(error: Exception) -> web.Response:
    request = make_mocked_request("GET", "/")
    request[REQUEST_ID] = "r1"

    async def handler(_request: web.Request) -> NoReturn:
        raise error

    response = await answered_in_json(request, handler)
    assert isinstance(response, web.Response)
    assert response.content_type == "application/json"
    return response


def code_of(response: web.Response) -> str:
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    assert set(body) == {"error", "code"}
    return str(body["code"])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Conflict("address_taken", "Taken."), 409, "address_taken"),
        (Unauthorized("unauthorized", "Who?"), 401, "unauthorized"),
        (TooManyRequests(2.5), 429, "too_many_requests"),
        (StoreUnavailable("away"), 503, "unavailable"),
        (BrokerUnavailable("away"), 503, "unavailable"),
        (web.HTTPNotFound(), 404, "not_found"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "method_not_allowed"),
        (web.HTTPExpectationFailed(), 417, "expectation_failed"),
        (ZeroDivisionError("s3cret"), 500, "internal_error"),
    ],
)
async def test_errors_have_one_form(error: Exception, status: int, code: str) -> None:
    response = await answer_to(error)
    assert response.status == status
    assert code_of(response) == code


async def test_headers_go_with_their_error() -> None:
    assert (await answer_to(TooManyRequests(2.5))).headers["Retry-After"] == "3"
    assert (await answer_to(StoreUnavailable())).headers["Retry-After"] == "5"
    assert (await answer_to(Unauthorized("a", "b"))).headers["WWW-Authenticate"] == "Bearer"
    assert (await answer_to(web.HTTPMethodNotAllowed("PUT", ["GET"]))).headers["Allow"] == "GET"


async def test_a_fault_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = await answer_to(ZeroDivisionError("s3cret"))
    assert isinstance(response.body, bytes)
    assert b"s3cret" not in response.body
    [record] = caplog.records
    assert record.getMessage() == "api.failed"
    assert record.exc_info is not None
