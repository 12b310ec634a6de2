"""What a request shows for itself: the access token of a session, or an API token."""

from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

from conduit.model.api_token import ApiToken, Scope
from conduit.model.record import utc_now
from conduit.model.session import Session
from conduit.security.api_tokens import PREFIX, hash_of
from conduit_api.auth import ACCOUNT, authenticate, bearer_token, refused
from conduit_api.context import Context
from conduit_api.errors import Forbidden

Credential = Session | ApiToken

_READS = frozenset({"GET", "HEAD"})


async def admitted(
    request: web.Request, context: Context, client: str, *, needs_session: bool
) -> Credential:
    """Return what stands behind the request, or raise Unauthorized or Forbidden.

    `client` is the address that it came from. What `needs_session` is for a person who has signed
    in, since a program's token must not be able to outlive its own revocation.
    """
    shown = bearer_token(request)
    if not shown.startswith(PREFIX):
        return await authenticate(request, context.tokens, context.sessions)
    token = await context.api_tokens.of_hash(hash_of(shown))
    now = utc_now()
    if token is None or not token.alive(now):
        raise refused("The API token is unknown, was revoked, or has expired.")
    request[ACCOUNT] = token.account_id
    check(token, request.method, client, needs_session=needs_session)
    await context.api_tokens.note_use(token, now)
    return token


def check(token: ApiToken, method: str, client: str, *, needs_session: bool) -> None:
    """Raise Forbidden when the token is not for this client or this kind of operation."""
    if not comes_from(client, token.allowed_ips):
        raise Forbidden("ip_not_allowed", "This API token is not for use from this address.")
    if needs_session:
        raise Forbidden("session_required", "An API token cannot do this; sign in.")
    needed = Scope.READ if method in _READS else Scope.WRITE
    if needed not in token.scopes:
        raise Forbidden("insufficient_scope", f"This needs an API token with the scope {needed}.")


def comes_from(client: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of these networks; none stand for all."""
    if not networks:
        return True
    try:
        address = ip_address(client)
    except ValueError:  # a socket without an address
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in ip_network(network) for network in networks)
