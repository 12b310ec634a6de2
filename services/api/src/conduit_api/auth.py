"""Who asks: the access token of a request, and the session that must still stand behind it."""

import re

from aiohttp import web

from conduit.model.record import utc_now
from conduit.model.session import Session
from conduit.security.tokens import AccessTokens, InvalidToken
from conduit.store.sessions import Sessions
from conduit_api.errors import Unauthorized

ACCOUNT = web.RequestKey("account", str)
"""The id of the account that asks, for the log."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)  # RFC 6750 §2.1


async def authenticate(request: web.Request, tokens: AccessTokens, sessions: Sessions) -> Session:
    """Return the session of the request's access token, or raise Unauthorized.

    The session is read each time, so that a sign-out takes effect at once on every replica.
    """
    try:
        claims = tokens.read(bearer_token(request))
    except InvalidToken:
        raise refused("The access token is not valid or has expired.") from None
    session = await sessions.of_id(claims.session_id)
    if session is None or session.account_id != claims.account_id or not session.alive(utc_now()):
        raise refused("The session of this access token has ended.")
    request[ACCOUNT] = session.account_id
    return session


def bearer_token(request: web.Request) -> str:
    """Return what the Authorization header shows, or raise Unauthorized."""
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        raise refused("An access token is needed: Authorization: Bearer <access_token>.")
    return match[1]


def refused(why: str) -> Unauthorized:
    """Return the refusal of a credential."""
    return Unauthorized("unauthorized", why)
