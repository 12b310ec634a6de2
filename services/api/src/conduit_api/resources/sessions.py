"""Sessions: sign-in, the second factor, refresh, sign-out."""

from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import Field

from conduit.errors import VersionConflict
from conduit.model.account import Account
from conduit.model.audit import Action, AuditEntry
from conduit.model.challenge import CHALLENGE_LIFETIME, Challenge
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.session import SESSION_LIFETIME, Session
from conduit.security.tokens import (
    ACCESS_LIFETIME,
    AccessClaims,
    InvalidToken,
    RefreshToken,
    new_single_use_token,
    token_hash,
)
from conduit_api import audit
from conduit_api.context import Context
from conduit_api.errors import Forbidden, ServiceUnavailable, Unauthorized
from conduit_api.fields import Request, Response
from conduit_api.operation import AccountCall, Answer, Call, I
from conduit_api.second_factor import Factor

_ROUNDS = 100  # of parallel refreshes of one token; each but the first finds it used


class CreateSessionRequest(Request):
    """Who signs in."""

    email: str
    password: str


class CompleteTOTPRequest(Request):
    """The second factor of a sign-in."""

    totp_token: str
    code: str = Field(description="TOTP code or a backup code")


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
        _note_refusal(call, email)
        raise _wrong_credentials()
    if context.settings.email_confirmation and not account.email_confirmed:
        raise Forbidden(
            "email_not_confirmed",
            "Confirm the e-mail address first: open the link in the mail that was sent to it, or "
            "reset the password, which sends another.",
        )
    return await (_challenged if account.needs_code else _opened)(call, account)


async def complete(call: Call[CompleteTOTPRequest]) -> Answer:
    """Show the second factor. A code is spent even when the sign-in fails thereafter."""
    context, hashed = call.context, token_hash(call.input.totp_token)
    challenge = await context.challenges.find(hashed, utc_now())
    context.throttles.code.admit(call.client, challenge.account_id if challenge else hashed)
    if challenge is None or not await context.challenges.count_try(hashed):
        raise _challenge_over()
    account = await _with_code(call, challenge)
    if account is None or not await context.challenges.spend(hashed):
        raise _challenge_over()
    return await _opened(call, account)


async def refresh(call: Call[RefreshSessionRequest]) -> Answer:
    """Exchange a refresh token for the next one; one that was used before ends its session."""
    context, token = call.context, _parsed(call.input.refresh_token)
    context.throttles.refresh.admit(call.client, token.family_hash)
    for _ in range(_ROUNDS):
        now = utc_now()
        session = await context.sessions.of_family(token.family_hash)
        if session is None or not session.alive(now):
            raise _refused()
        if not token.is_current(session.turn_hash):
            return await _repeated(call, session, token, now)
        following = context.succession.after(token)
        if await _turned(context, session, following, now):
            return _tokens(context, session, following, now)
    raise ServiceUnavailable


async def delete(call: AccountCall[DeleteSessionRequest]) -> Answer:
    """Sign out: end the session that asks, and the refresh token's, should it be another."""
    sessions = call.context.sessions
    token = _parsed(call.input.refresh_token)
    session = await sessions.of_family(token.family_hash)
    if session is None or session.account_id != call.account_id:
        raise _refused()
    for session_id in {session.id, call.session.id}:
        if await sessions.revoke(session_id):
            await audit.record(call, call.account_id, Action.SESSION_ENDED, session_id)
    return Answer()


async def _challenged(call: Call[I], account: Account) -> Answer:
    """Ask for the second factor."""
    token, now = new_single_use_token(), utc_now()
    await call.context.challenges.add(
        Challenge(
            token_hash=token_hash(token),
            account_id=account.id,
            password_hash=account.password_hash,
            expires_at=now + CHALLENGE_LIFETIME,
        )
    )
    return Answer(TOTPChallengeResponse(totp_required=True, totp_token=token))


async def _with_code(call: Call[CompleteTOTPRequest], challenge: Challenge) -> Account | None:
    """Spend the code and return the account, if it is still there; or raise Unauthorized."""
    factor = Factor(call.context.box, call.input.code, utc_now())

    def checked(account: Account) -> Account:
        if not account.needs_code or account.password_hash != challenge.password_hash:
            raise _challenge_over()
        return factor.spent(account)

    try:
        account = await call.context.accounts.change(challenge.account_id, checked)
    except Unauthorized:
        await audit.record(call, challenge.account_id, Action.SESSION_REFUSED, reason="code")
        raise
    if account is not None and factor.was_backup_code:
        await audit.record(call, account.id, Action.BACKUP_CODE_USED)
    return account


async def _opened(call: Call[I], account: Account) -> Answer:
    """Begin a session."""
    context, token, now = call.context, RefreshToken.new(), utc_now()
    session = _new_session(account.id, token, now)
    await context.sessions.insert(session)
    # A new password ends all sessions; this one may have come after that, with the old password.
    current = await context.accounts.of_id(account.id)
    if current is None or current.password_hash != account.password_hash:
        await context.sessions.revoke(session.id)
        raise _wrong_credentials()
    await audit.record(call, account.id, Action.SESSION_CREATED, session.id)
    return _tokens(context, session, token, now)


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


def _note_refusal(call: Call[I], email: str) -> None:
    """Have it written that somebody did not get in, whether there is such an account or not."""
    context = call.context
    if context.throttles.noted.wait(email) == 0:
        entry = audit.entry_of(call, "", Action.SESSION_REFUSED, reason="password")
        context.background.leave(partial(_note, context, email, entry))


async def _note(context: Context, email: str, entry: AuditEntry) -> None:
    account = await context.accounts.of_email(email)
    if account is not None:
        await context.audit_log.add(entry.model_copy(update={"account_id": account.id}))


async def _repeated(call: Call[I], session: Session, token: RefreshToken, now: datetime) -> Answer:
    """Answer a used token as before, if that was moments ago; else end the session."""
    context, grace = call.context, call.context.settings.refresh_grace
    if session.may_repeat(token.turn_hash, now, grace):
        following = context.succession.issued_after(token, session.turn_hash)
        if following is not None:
            return _tokens(context, session, following, now)
    if await context.sessions.revoke(session.id):
        await audit.record(call, session.account_id, Action.SESSION_REUSE_DETECTED, session.id)
    raise _refused()


async def _turned(
    context: Context, session: Session, following: RefreshToken, now: datetime
) -> bool:
    """Make `following` the session's token; False when the same token was used at the same time."""
    changes = {
        "turn_hash": following.turn_hash,
        "previous_hash": session.turn_hash,
        "turned_at": now,
        "expires_at": now + SESSION_LIFETIME,
    }
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


def _wrong_credentials() -> Unauthorized:
    return Unauthorized("invalid_credentials", "The e-mail address or the password is wrong.")


def _challenge_over() -> Unauthorized:
    return Unauthorized(
        "invalid_totp_token", "This challenge is unknown or over; sign in with the password again."
    )
