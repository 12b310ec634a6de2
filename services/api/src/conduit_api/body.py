"""Reading what a client sent: strict JSON (RFC 8259) into a request model."""

import asyncio
import json
from typing import Any, TypeVar, get_args

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from conduit_api.errors import (
    ApiError,
    BadRequest,
    BodyTooLarge,
    RequestTimeout,
    Unprocessable,
    UnsupportedMediaType,
)

M = TypeVar("M", bound=BaseModel)

BODY_LIMIT = 1024 * 1024  # bytes
BODY_TIMEOUT = web.AppKey("body_timeout", float)
"""Seconds in which a body must have arrived."""

_PYDANTICS_OWN = frozenset(get_args(ErrorType))
_SHOWN = 5  # mistakes named in one answer
_LONGEST_NAME = 100


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the body as `model`, or raise the ApiError that says what is wrong with it."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType
    return _valid(model, parse_json(await _octets(request)))


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the query string's parameters as `model`, or raise Unprocessable."""
    try:
        return model.model_validate_strings(dict(request.query))
    except ValidationError as error:
        raise _refusal(error.errors()) from None


async def _octets(request: web.Request) -> bytes:
    if (request.content_length or 0) > BODY_LIMIT:  # refused before it is read
        raise BodyTooLarge(BODY_LIMIT)
    try:
        async with asyncio.timeout(request.app[BODY_TIMEOUT]):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout from None
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge(BODY_LIMIT) from None
    except ConnectionError:  # nobody will read this, but the log and the counts tell it apart
        raise BadRequest("incomplete_body", "The connection ended before the body did.") from None
    except web.RequestPayloadError:
        raise BadRequest(
            "malformed_body", "The body is not what Transfer-Encoding or Content-Encoding say."
        ) from None


def parse_json(octets: bytes) -> object:
    """Return the value, or raise BadRequest.

    orjson is strict in syntax (UTF-8, surrogates, NaN, depth) but takes the last of equal names
    and rounds large integers; the standard library's reader is not, but can be told of names.
    """
    try:
        orjson.loads(octets)
        value: object = json.loads(octets, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise BadRequest("malformed_json", f"The body is not JSON: {error}") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return members


def _valid(model: type[M], value: object) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(error.errors()) from None


def _refusal(mistakes: list[ErrorDetails]) -> ApiError:
    """Name the missing fields, or else what is wrong with the others; never their values."""
    missing = [mistake for mistake in mistakes if mistake["type"] == "missing"]
    text = "; ".join(_told(mistake) for mistake in (missing or mistakes)[:_SHOWN])
    if missing:
        return BadRequest("missing_field", text)
    return Unprocessable(_code(mistakes[0]), text)


def _code(mistake: ErrorDetails) -> str:
    if mistake["type"] == "extra_forbidden":
        return "unknown_field"
    return "validation_error" if mistake["type"] in _PYDANTICS_OWN else mistake["type"]


def _told(mistake: ErrorDetails) -> str:
    name = ".".join(str(part) for part in mistake["loc"])[:_LONGEST_NAME]
    if mistake["type"] == "missing":
        return f"{name} is required."
    if mistake["type"] == "extra_forbidden":
        return f"{name} is not a field of this request."
    if mistake["type"] == "model_type":
        return f"{name or 'The body'} must be a JSON object."
    message = str(mistake.get("ctx", {}).get("error", mistake["msg"]))
    return f"{name}: {message}" if name else message
