"""What operators see of each request: an id, one log line, a count and a duration."""

import logging
import re
import time
from collections.abc import Sequence
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from conduit.settings import Network
from conduit.telemetry.metrics import LATENCY_BUCKETS
from conduit_api.auth import ACCOUNT
from conduit_api.origin import ORIGIN, origin_of

log = logging.getLogger(__name__)

REQUESTS = Counter(
    "conduit_api_requests", "Requests, by route template.", ["method", "route", "status"]
)
DURATION = Histogram(
    "conduit_api_request_seconds",
    "Time from a request's head to its answer's end.",
    ["method", "route"],
    buckets=LATENCY_BUCKETS,
)

REQUEST_ID = web.RequestKey("request_id", str)
"""What tells one request from all others, in every log line about it."""

REQUEST_ID_HEADER = "X-Request-Id"
UNMATCHED = "unmatched"
"""The route in metrics and the log when a path has none."""

_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")


def observing(proxies: Sequence[Network]) -> Middleware:
    """Give each request an id and its origin, and tell how it went."""

    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.perf_counter()
        request[REQUEST_ID] = _request_id(request)
        request[ORIGIN] = origin_of(request, proxies)
        response = await handler(request)
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
        _tell(request, response.status, time.perf_counter() - begun)
        return response

    return observed


def _request_id(request: web.Request) -> str:
    """Return the client's id for the request when it is fit for a log, or else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else uuid4().hex


def _tell(request: web.Request, status: int, seconds: float) -> None:
    method = request.method if request.method in hdrs.METH_ALL else "other"
    resource = request.match_info.route.resource
    route = UNMATCHED if resource is None else resource.canonical
    REQUESTS.labels(method, route, str(status)).inc()
    DURATION.labels(method, route).observe(seconds)
    log.info(
        "api.request",
        extra={
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "request_id": request[REQUEST_ID],
            "client": request[ORIGIN].client,
            "account_id": request.get(ACCOUNT),
        },
    )
