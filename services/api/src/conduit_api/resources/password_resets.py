"""Password resets: for who cannot sign in but receives the mail of the account's address."""

from datetime import timedelta
from functools import partial

from conduit.model.account import Account
from conduit.model.audit import Action, AuditEntry
from conduit.model.mailed_token import MailedToken
from conduit.model.record import utc_now
from conduit.security.tokens import new_single_use_token, token_hash
from conduit_api import audit
from conduit_api.context import Context
from conduit_api.errors import Unauthorized
from conduit_api.fields import Request
from conduit_api.operation import Answer, Call
from conduit_api.passwords import set_password
from conduit_api.resources.accounts import NewPassword

RESET_LIFETIME = timedelta(hours=1)


class RequestPasswordResetRequest(Request):
    """Whose password is forgotten."""

    email: str


class ConfirmPasswordResetRequest(Request):
    """What the mail said, and the password that shall be."""

    token: str
    new_password: NewPassword


async def request(call: Call[RequestPasswordResetRequest]) -> Answer:
    """Leave it to the background to look for the account, so that nothing tells if there is one."""
    email = call.input.email.lower()[:255]  # one more than any account has
    call.context.throttles.reset.admit(call.client, email)
    entry = audit.entry_of(call, "", Action.PASSWORD_RESET_REQUESTED)
    call.context.background.leave(partial(_begin, call.context, email, entry))
    return Answer()


async def confirm(call: Call[ConfirmPasswordResetRequest]) -> Answer:
    """Set a new password, and end all sessions. It is shown that the e-mail address is right."""
    context, hashed = call.context, token_hash(call.input.token)
    context.throttles.reset.admit(call.client, hashed)
    account_id = await context.password_resets.spend(hashed, utc_now())
    if account_id is None:
        raise _refused()
    password_hash = await context.passwords.hash(call.input.new_password)

    def changed(account: Account) -> Account:
        return account.model_copy(update={"password_hash": password_hash, "email_confirmed": True})

    if await set_password(context, account_id, changed, keep=None) is None:
        raise _refused()
    await audit.record(call, account_id, Action.PASSWORD_RESET, account_id)
    return Answer()


async def _begin(context: Context, email: str, entry: AuditEntry) -> None:
    """Send a token that takes the place of any former one, if there is such an account."""
    account = await context.accounts.of_email(email)
    if account is None:
        return
    token = new_single_use_token()
    expires_at = utc_now() + RESET_LIFETIME
    await context.password_resets.put(
        MailedToken(account_id=account.id, token_hash=token_hash(token), expires_at=expires_at)
    )
    await context.audit_log.add(entry.model_copy(update={"account_id": account.id}))
    context.mailer.send_password_reset(account.email, token)


def _refused() -> Unauthorized:
    return Unauthorized("invalid_token", "The token is unknown, has expired or was used before.")
