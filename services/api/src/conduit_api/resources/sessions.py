"""Sessions: sign-in, refresh, sign-out."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from conduit.errors import VersionConflict
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.session import SESSION_LIFETIME, Session
from conduit.security.tokens import ACCESS_LIFETIME, AccessClaims, InvalidToken, RefreshToken
from conduit_api.context import Context
from conduit_api.errors import Unauthorized
from conduit_api.fields import Request, Response
from conduit_api.operation import AccountCall, Answer, Call


class CreateSessionRequest(Request):
    """Who signs in."""

    email: str
    password: str


class RefreshSessionRequest(Request):
    """The newest refresh token of a session."""

    refresh_token: str


class DeleteSessionRequest(Request):
    """A refresh token of the session that ends."""

    refresh_token: str


class SessionResponse(Response):
    """The tokens of a session."""

    access_token: str
    refresh_token: str
    expires_in: int = Field(description="Seconds; 900")


class TOTPChallengeResponse(Response):
    """What an account with two-factor authentication gets before its tokens."""

    totp_required: Literal[True] = Field(json_schema_extra={"type": "boolean"})
    totp_token: str


async def create(call: Call[CreateSessionRequest]) -> Answer:
    """Sign in. What is unknown and what is wrong get the same answer, after the same time."""
    context = call.context
    email = call.input.email.lower()[:255]  # one more than any account has
    context.throttles.sign_in.admit(call.client, email)
    account = await context.accounts.of_email(email)
    hashed = account.password_hash if account else None
    if not await context.passwords.verify(call.input.password, hashed) or account is None:
        raise Unauthorized("invalid_credentials", "The e-mail address or the password is wrong.")
    token, now = RefreshToken.new(), utc_now()
    session = _new_session(account.id, token, now)
    await context.sessions.insert(session)
    return _tokens(context, session, token, now)


async def refresh(call: Call[RefreshSessionRequest]) -> Answer:
    """Exchange a refresh token for the next one; one that was used before ends its session."""
    context, now = call.context, utc_now()
    token = _parsed(call.input.refresh_token)
    context.throttles.refresh.admit(call.client, token.family_hash)
    session = await context.sessions.of_family(token.family_hash)
    if session is None or not session.alive(now):
        raise _refused()
    following = token.next()
    if not token.is_current(session.turn_hash) or not await _turned(
        context, session, following, now
    ):
        await context.sessions.revoke(session.id)
        raise _refused()
    return _tokens(context, session, following, now)


async def delete(call: AccountCall[DeleteSessionRequest]) -> Answer:
    """Sign out: end the session that asks, and the refresh token's, should it be another."""
    sessions = call.context.sessions
    token = _parsed(call.input.refresh_token)
    session = await sessions.of_family(token.family_hash)
    if session is None or session.account_id != call.account_id:
        raise _refused()
    for session_id in {session.id, call.session.id}:
        await sessions.revoke(session_id)
    return Answer()


def _new_session(account_id: str, token: RefreshToken, now: datetime) -> Session:
    return Session(
        id=new_id(Prefix.SESSION),
        created_at=now,
        updated_at=now,
        account_id=account_id,
        family_hash=token.family_hash,
        turn_hash=token.turn_hash,
        expires_at=now + SESSION_LIFETIME,
    )


async def _turned(
    context: Context, session: Session, following: RefreshToken, now: datetime
) -> bool:
    """Make `following` the session's token; False when the same token was used at the same time."""
    changes = {"turn_hash": following.turn_hash, "expires_at": now + SESSION_LIFETIME}
    try:
        await context.sessions.replace(session.model_copy(update=changes))
    except VersionConflict:
        return False
    return True


def _tokens(context: Context, session: Session, token: RefreshToken, now: datetime) -> Answer:
    claims = AccessClaims(account_id=session.account_id, session_id=session.id)
    return Answer(
        SessionResponse(
            access_token=context.tokens.issue(claims, now),
            refresh_token=token.text(),
            expires_in=int(ACCESS_LIFETIME.total_seconds()),
        )
    )


def _parsed(text: str) -> RefreshToken:
    try:
        return RefreshToken.parse(text)
    except InvalidToken:
        raise _refused() from None


def _refused() -> Unauthorized:
    return Unauthorized(
        "invalid_refresh_token", "The refresh token is unknown, expired or was used before."
    )
