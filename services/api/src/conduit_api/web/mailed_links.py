"""The pages to which the links in Conduit's mails lead; they ask the REST API like any client."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/app/reset-password/confirm": "reset-password.html",
    "/app/confirm-email": "confirm-email.html",
    "/app/static/mailed-links.css": "mailed-links.css",
    "/app/static/mailed-links.js": "mailed-links.js",
}


def add_mailed_links(app: web.Application) -> None:
    """Serve the pages and the files that they load."""
    static = Path(str(files("conduit_api.web") / "static"))
    for path, name in _FILES.items():
        app.router.add_get(path, _file(static / name))


def _file(path: Path) -> Handler:
    async def handle(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers={"Content-Security-Policy": _POLICY})

    return handle
