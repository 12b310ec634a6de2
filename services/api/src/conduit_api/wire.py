"""HTTP below the application: connections, and requests that are refused before any handler."""

import logging
from uuid import uuid4

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.typedefs import Handler

from conduit_api.errors import Error
from conduit_api.headers import add_headers
from conduit_api.observation import REQUEST_ID_HEADER, REQUESTS, UNMATCHED
from conduit_api.problems import json_error, told_by_aiohttp

log = logging.getLogger(__name__)

LINE_LIMIT = 8190  # bytes of the request line, and of each header
HEADERS_LIMIT = 128  # headers of a request
_LINGER = 2.0  # seconds in which the rest of a refused body is read, so that its sender sees why


class Runner(web.AppRunner):
    """Serves an application, and answers in its form what aiohttp refuses by itself.

    `keepalive_timeout` is how long in seconds a connection may be idle, and how long it may take
    from one answer until the head of the next request is complete.
    """

    def __init__(
        self, app: web.Application, *, keepalive_timeout: float, shutdown_timeout: float
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._keepalive_timeout = keepalive_timeout

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            _refusing(server.request_handler),  # type: ignore[arg-type]
            request_factory=server.request_factory,
            access_log=None,
            keepalive_timeout=self._keepalive_timeout,
            lingering_time=_LINGER,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
            max_headers=HEADERS_LIMIT,
        )


class _Server(web.Server):
    """Makes our kind of protocol for each connection."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """A connection whose errors are JSON."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  has parts of the request
    ) -> web.StreamResponse:
        """Answer what the parser refused; all else is a fault of ours."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has been begun, so that there can be no other")
        if not isinstance(exc, BadHttpMessage):
            log.error("api.failed", exc_info=exc)
            return _refusal(request, status, _FAULT)
        if isinstance(exc, LineTooLong):
            return _refusal(request, 431, _TOO_LONG)
        return _refusal(request, 400, _NOT_HTTP)


_FAULT = Error(error="Something went wrong.", code="internal_error")
_TOO_LONG = Error(
    error=f"The URL and each header may have {LINE_LIMIT} bytes at most.",
    code="request_head_too_large",
)
_NOT_HTTP = Error(error="This is not a request of HTTP/1.1.", code="malformed_request")


def _refusing(handle: Handler) -> Handler:
    """Answer also what aiohttp refuses between its parser and our middlewares, such as Expect."""

    async def handled(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:
            return _refusal(request, error.status, told_by_aiohttp(error))

    return handled


def _refusal(request: web.BaseRequest, status: int, body: Error) -> web.Response:
    """Answer, count and log, as the middlewares do, and close the connection."""
    response = json_error(status, body)
    response.force_close()
    add_headers(response, secure=False)
    request_id = response.headers[REQUEST_ID_HEADER] = uuid4().hex
    REQUESTS.labels("other", UNMATCHED, str(status)).inc()
    log.info(
        "api.refused",
        extra={
            "status": status,
            "code": body.code,
            "request_id": request_id,
            "peer": request.remote,
        },
    )
    return response
