"""The HTTP server: routes, and what is the same for all of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from conduit.security.attachment_links import PATH
from conduit_api.attachments import Attachments
from conduit_api.body import BODY_LIMIT, BODY_TIMEOUT
from conduit_api.context import Context
from conduit_api.cors import CrossOrigin
from conduit_api.headers import add_headers
from conduit_api.observation import observing
from conduit_api.openapi import document
from conduit_api.operation import Answer, Operation
from conduit_api.origin import ORIGIN
from conduit_api.problems import answered_in_json
from conduit_api.web.docs import add_docs
from conduit_api.web.mailed_links import add_mailed_links


def application(context: Context, operations: Sequence[Operation[Any]]) -> web.Application:
    """Return the service's HTTP application."""
    settings = context.settings
    app = web.Application(
        middlewares=[observing(settings.trusted_proxies), answered_in_json],
        client_max_size=BODY_LIMIT,
    )
    app[BODY_TIMEOUT] = settings.api_body_timeout
    app.on_response_prepare.append(_adding_headers(CrossOrigin(settings.api_cors_origins)))
    for operation in operations:
        _add(app, operation.method, operation.path, _handler(context, operation))
    _add(app, "GET", "/api/v1/openapi.json", _constant(orjson.dumps(document(operations))))
    _add(app, "GET", PATH, Attachments(context).handle)
    add_docs(app)
    add_mailed_links(app)
    _add_options(app)
    return app


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    app.router.add_route(method, path, handler)
    if method == "GET":  # aiohttp leaves the body out
        app.router.add_route("HEAD", path, handler)


def _add_options(app: web.Application) -> None:
    """Have every path tell its methods; a browser's preflight is such a question."""
    methods: dict[str, set[str]] = {}
    for route in app.router.routes():
        resource = route.resource
        methods.setdefault(resource.canonical if resource else "", set()).add(route.method)
    for path, known in methods.items():
        app.router.add_route("OPTIONS", path, _options(", ".join(sorted({*known, "OPTIONS"}))))


def _options(allow: str) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Allow": allow})

    return handle


def _handler(context: Context, operation: Operation[Any]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        answer = await operation.perform(context, request)
        return _response(operation, answer)

    return handle


def _response(operation: Operation[Any], answer: Answer) -> web.Response:
    if answer.body is None:
        return web.Response(status=operation.status, headers=answer.headers)
    return web.Response(
        status=operation.status,
        headers=answer.headers,
        body=_encoded(answer.body),
        content_type=operation.media,
    )


def _encoded(body: BaseModel | Sequence[BaseModel] | bytes) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        return body.model_dump_json(exclude_none=True).encode()
    return b"[" + b",".join(_encoded(item) for item in body) + b"]"


def _constant(body: bytes) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return handle


def _adding_headers(
    cross_origin: CrossOrigin,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(request: web.Request, response: web.StreamResponse) -> None:
        cross_origin.add_headers(request, response)
        origin = request.get(ORIGIN)
        add_headers(response, secure=origin is not None and origin.secure)

    return add
