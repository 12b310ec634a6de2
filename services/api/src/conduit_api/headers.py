"""Headers that all answers have, so that browsers neither keep, guess, frame nor leak them."""

from collections.abc import Mapping

from aiohttp import web

_ALWAYS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_OVER_TLS: Mapping[str, str] = {"Strict-Transport-Security": "max-age=31536000"}


def add_headers(response: web.StreamResponse, *, secure: bool) -> None:
    """Add what the response does not say otherwise; `secure`: the client spoke https."""
    response.headers["Server"] = "Conduit"
    for name, value in {**_ALWAYS, **(_OVER_TLS if secure else {})}.items():
        response.headers.setdefault(name, value)
