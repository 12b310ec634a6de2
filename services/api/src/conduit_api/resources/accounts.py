"""Accounts: sign-up, who one is, password, timezone, and the end."""

from datetime import datetime, timedelta
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from conduit.errors import DuplicateKey, VersionConflict
from conduit.model.account import Account
from conduit.model.audit import Action
from conduit.model.ids import Prefix, new_id
from conduit.model.mailed_token import MailedToken
from conduit.model.record import utc_now
from conduit.security.passwords import LONGEST
from conduit.security.tokens import new_single_use_token, token_hash
from conduit_api import audit
from conduit_api.context import Context
from conduit_api.errors import Conflict, ServiceUnavailable, Unauthorized
from conduit_api.fields import Email, NoInput, Request, Response
from conduit_api.operation import AccountCall, Answer, Call, I
from conduit_api.passwords import set_password

CONFIRMATION_LIFETIME = timedelta(days=3)

# Those of the package and not of the machine, which may have others, such as `localtime`.
TIMEZONES = frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


def _timezone(name: str) -> str:
    if name not in TIMEZONES:
        raise PydanticCustomError("invalid_timezone", "This is not the name of an IANA timezone.")
    return name


NewPassword = Annotated[str, Field(min_length=12, max_length=LONGEST)]
Timezone = Annotated[
    str, AfterValidator(_timezone), Field(description="IANA timezone name, e.g. Europe/Berlin")
]


class CreateAccountRequest(Request):
    """Who wants an account."""

    email: Email
    password: NewPassword


class ChangePasswordRequest(Request):
    """The password that was, and the one that shall be."""

    current_password: str
    new_password: NewPassword


class UpdateTimezoneRequest(Request):
    """In which timezone times are shown."""

    timezone: Timezone


class DeleteAccountRequest(Request):
    """Who really wants to go."""

    password: str = Field(description="Current password to confirm deletion")


class ConfirmEmailRequest(Request):
    """What the mail said."""

    token: str = Field(description="Confirmation token (from the confirmation email)")


class AccountResponse(Response):
    """An account, as its owner sees it."""

    id: str
    email: Annotated[str, Field(json_schema_extra={"format": "email"})]
    timezone: str = Field(description="IANA timezone name")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountResponse":
        """Return what is told of an account."""
        return cls(
            id=account.id,
            email=account.email,
            timezone=account.timezone,
            created_at=account.created_at,
            updated_at=account.updated_at,
        )


async def create(call: Call[CreateAccountRequest]) -> Answer:
    """Sign up."""
    wanted, context = call.input, call.context
    context.throttles.sign_up.admit(call.client, wanted.email)
    now = utc_now()
    account = Account(
        id=new_id(Prefix.ACCOUNT),
        created_at=now,
        updated_at=now,
        email=wanted.email,
        password_hash=await context.passwords.hash(wanted.password),
        email_confirmed=not context.settings.email_confirmation,
    )
    try:
        await context.accounts.insert(account)
    except DuplicateKey:
        raise Conflict("email_taken", "An account with this e-mail address exists.") from None
    await audit.record(call, account.id, Action.ACCOUNT_CREATED, account.id)
    if not account.email_confirmed:
        await _ask_for_confirmation(context, account)
    return Answer(AccountResponse.of(account))


async def confirm_email(call: Call[ConfirmEmailRequest]) -> Answer:
    """Take a token as proof that its owner receives the mail of the account's address."""
    context, hashed = call.context, token_hash(call.input.token)
    context.throttles.reset.admit(call.client, hashed)
    account_id = await context.email_confirmations.spend(hashed, utc_now())
    if account_id is None or not await context.accounts.change(account_id, _confirmed):
        raise Unauthorized("invalid_token", "The token is unknown, has expired or was used before.")
    await audit.record(call, account_id, Action.ACCOUNT_EMAIL_CONFIRMED, account_id)
    return Answer()


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return the account that asks."""
    return Answer(AccountResponse.of(await _own(call)))


async def change_password(call: AccountCall[ChangePasswordRequest]) -> Answer:
    """Change the password, and end all other sessions."""
    context, account = call.context, await _with_password(call, call.input.current_password)
    hashed = await context.passwords.hash(call.input.new_password)

    def changed(current: Account) -> Account:
        if current.password_hash != account.password_hash:
            raise _wrong_password()
        return current.model_copy(update={"password_hash": hashed})

    if await set_password(context, account.id, changed, keep=call.session.id) is None:
        raise _gone()
    await audit.record(call, account.id, Action.PASSWORD_CHANGED, account.id)
    return Answer()


async def update_timezone(call: AccountCall[UpdateTimezoneRequest]) -> Answer:
    """Set the timezone in which times are shown."""

    def changed(account: Account) -> Account:
        return account.model_copy(update={"timezone": call.input.timezone})

    if await call.context.accounts.change(call.account_id, changed) is None:
        raise _gone()
    timezone = call.input.timezone
    await audit.record(
        call, call.account_id, Action.ACCOUNT_TIMEZONE_CHANGED, call.account_id, timezone=timezone
    )
    return Answer()


async def delete(call: AccountCall[DeleteAccountRequest]) -> Answer:
    """Delete the account and all that is its."""
    account = await _with_password(call, call.input.password)
    try:
        await call.context.erasure.begin(account)
    except VersionConflict:  # another password since this very moment
        raise ServiceUnavailable from None
    return Answer()


def _confirmed(account: Account) -> Account:
    return account.model_copy(update={"email_confirmed": True})


async def _ask_for_confirmation(context: Context, account: Account) -> None:
    token = new_single_use_token()
    expires_at = utc_now() + CONFIRMATION_LIFETIME
    await context.email_confirmations.put(
        MailedToken(account_id=account.id, token_hash=token_hash(token), expires_at=expires_at)
    )
    context.mailer.send_email_confirmation(account.email, token)


async def _own(call: AccountCall[I]) -> Account:
    account = await call.context.accounts.of_id(call.account_id)
    if account is None:
        raise _gone()
    return account


async def _with_password(call: AccountCall[I], password: str) -> Account:
    """Return the account of one who shows its password too; a try counts as one to sign in."""
    account = await _own(call)
    call.context.throttles.sign_in.admit(call.client, account.email)
    if not await call.context.passwords.verify(password, account.password_hash):
        raise _wrong_password()
    return account


def _wrong_password() -> Unauthorized:
    return Unauthorized("wrong_password", "The password is wrong.")


def _gone() -> Unauthorized:
    return Unauthorized("unauthorized", "The account of this access token does not exist.")
