"""`/docs`: the API's documentation in Swagger UI, whose files come from its installed package."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

# Swagger UI sets style attributes and has its icons in data URIs; scripts are files only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OURS = {"/docs": "docs.html", "/docs/docs.js": "docs.js"}
_SWAGGERS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-16x16.png", "favicon-32x32.png")


def add_docs(app: web.Application) -> None:
    """Serve the page and the files that it loads, and no other file."""
    own = Path(str(files("conduit_api.web") / "static"))
    swaggers = Path(str(files("swagger_ui") / "static"))
    for path, name in _OURS.items():
        app.router.add_get(path, _file(own / name))
    for name in _SWAGGERS:
        app.router.add_get(f"/docs/{name}", _file(swaggers / name))


def _file(path: Path) -> Handler:
    if not path.is_file():
        raise FileNotFoundError(path)
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}

    async def handle(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=headers)

    return handle
