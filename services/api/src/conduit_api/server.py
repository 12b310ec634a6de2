"""The HTTP server: routes, and what is the same for all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from conduit_api.body import BODY_LIMIT
from conduit_api.context import Context
from conduit_api.observation import observed
from conduit_api.openapi import document
from conduit_api.operation import Answer, Operation
from conduit_api.problems import answered_in_json
from conduit_api.web.docs import add_docs

_SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def application(context: Context, operations: Sequence[Operation[Any]]) -> web.Application:
    """Return the service's HTTP application."""
    app = web.Application(middlewares=[observed, answered_in_json], client_max_size=BODY_LIMIT)
    app.on_response_prepare.append(_add_headers)
    for operation in operations:
        _add(app, operation.method, operation.path, _handler(context, operation))
    _add(app, "GET", "/api/v1/openapi.json", _constant(orjson.dumps(document(operations))))
    add_docs(app)
    return app


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    app.router.add_route(method, path, handler)
    if method == "GET":  # aiohttp leaves the body out
        app.router.add_route("HEAD", path, handler)


def _handler(context: Context, operation: Operation[Any]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        answer = await operation.perform(context, request)
        return _response(operation.status, answer)

    return handle


def _response(status: int, answer: Answer) -> web.Response:
    if answer.body is None:
        return web.Response(status=status, headers=answer.headers)
    return web.Response(
        status=status,
        headers=answer.headers,
        body=_encoded(answer.body),
        content_type="application/json",
    )


def _encoded(body: BaseModel | Sequence[BaseModel]) -> bytes:
    if isinstance(body, BaseModel):
        return body.model_dump_json(exclude_none=True).encode()
    return b"[" + b",".join(_encoded(item) for item in body) + b"]"


def _constant(body: bytes) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return handle


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "Conduit"
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
