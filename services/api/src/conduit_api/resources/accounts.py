"""Accounts: sign-up, and who one is."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from conduit.errors import DuplicateKey
from conduit.model.account import Account
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.security.passwords import LONGEST
from conduit_api.errors import Conflict, Unauthorized
from conduit_api.fields import Email, NoInput, Request, Response
from conduit_api.operation import AccountCall, Answer, Call

NewPassword = Annotated[str, Field(min_length=12, max_length=LONGEST)]


class CreateAccountRequest(Request):
    """Who wants an account."""

    email: Email
    password: NewPassword


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
    )
    try:
        await context.accounts.insert(account)
    except DuplicateKey:
        raise Conflict("email_taken", "An account with this e-mail address exists.") from None
    return Answer(AccountResponse.of(account))


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return the account that asks."""
    account = await call.context.accounts.of_id(call.account_id)
    if account is None:
        raise Unauthorized("unauthorized", "The account of this access token does not exist.")
    return Answer(AccountResponse.of(account))
