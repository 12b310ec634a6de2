"""Whatever goes wrong with a request becomes an answer `{error, code}`, here and nowhere else."""

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from conduit.errors import Unavailable
from conduit_api.errors import (
    ApiError,
    Error,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
)
from conduit_api.observation import REQUEST_ID

log = logging.getLogger(__name__)


@web.middleware
async def answered_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn each error into its answer; what nobody foresaw into a 500 that tells nothing."""
    try:
        return await handler(request)
    except ApiError as error:
        return _answer(error)
    except Unavailable as error:
        log.warning(
            "api.unavailable", extra={"request_id": request[REQUEST_ID], "error": str(error)}
        )
        return _answer(ServiceUnavailable())
    except web.HTTPException as error:
        return _of_aiohttp(error)
    except Exception:
        log.exception("api.failed", extra={"request_id": request[REQUEST_ID]})
        return json_error(500, Error(error="Something went wrong.", code="internal_error"))


def _answer(error: ApiError) -> web.Response:
    return json_error(error.status, error.body, error.headers)


def _of_aiohttp(error: web.HTTPException) -> web.Response:
    """Say in our form what aiohttp's router found."""
    if isinstance(error, web.HTTPNotFound):
        return _answer(NotFound())
    if isinstance(error, web.HTTPMethodNotAllowed):
        return _answer(MethodNotAllowed(error.allowed_methods))
    return json_error(error.status, told_by_aiohttp(error))


def told_by_aiohttp(error: web.HTTPException) -> Error:
    """Return what the status alone says; aiohttp's texts have parts of the request."""
    return Error(error=f"{error.reason}.", code=error.reason.lower().replace(" ", "_"))


def json_error(status: int, body: Error, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error as an answer."""
    return web.Response(
        status=status,
        body=body.model_dump_json().encode(),
        content_type="application/json",
        headers=headers,
    )
