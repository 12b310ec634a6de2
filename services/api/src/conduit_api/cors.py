"""CORS: which other origins' pages may call the API from a browser (fetch.spec.whatwg.org).

Cookies are never allowed across origins: what authenticates is a header that only the page's own
code can set.
"""

from collections.abc import Collection

from aiohttp import hdrs, web

_SENT = "Authorization, Content-Type, X-Request-Id"
_EXPOSED = "Link, Retry-After, X-Request-Id, X-Total-Count"
_REMEMBERED = 600  # seconds for which a browser need not ask again


class CrossOrigin:
    """Adds the headers that let pages of these origins read the API's answers."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add to an answer of the API what a browser asks for; without origins, nothing."""
        if not self._origins or not request.path.startswith("/api/"):
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin not in self._origins:
            return
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
        if request.method == "OPTIONS" and hdrs.ALLOW in response.headers:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = response.headers[hdrs.ALLOW]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _SENT
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_REMEMBERED)
