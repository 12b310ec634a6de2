"""Two-factor authentication: setting it up, and the backup codes for a lost device."""

from collections.abc import Callable, Sequence

import segno
from pydantic import Field

from conduit.model.account import Account, Totp
from conduit.model.audit import Action
from conduit.model.record import utc_now
from conduit.security.totp import (
    backup_hashes,
    new_backup_codes,
    new_secret,
    otpauth_url,
    timecode_of,
)
from conduit_api import audit
from conduit_api.context import Context
from conduit_api.errors import Conflict, Unauthorized, Unprocessable
from conduit_api.fields import NoInput, Request, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.second_factor import Factor, secret_of, wrong_code

_QR_SCALE = 5  # pixels of a module: some 250 in all


class EnableTOTPRequest(Request):
    """The first code, which shows that the app has the secret."""

    code: str = Field(description="6-digit code from the authenticator app")


class TOTPCodeRequest(Request):
    """A code; a backup code does as well."""

    code: str = Field(description="6-digit TOTP code")


class SetupTOTPResponse(Response):
    """The secret, for an authenticator app to take by any of three ways."""

    secret: str
    otpauth_url: str
    qr_code_png: str = Field(description="PNG as a data URI")


class BackupCodesResponse(Response):
    """Codes that work once each, told this once."""

    backup_codes: list[str]


async def set_up(call: AccountCall[NoInput]) -> Answer:
    """Make a secret, in place of one that was never enabled."""
    context, secret = call.context, new_secret()

    def changed(account: Account) -> Account:
        if account.needs_code:
            raise _enabled_already()
        totp = Totp(secret=context.box.seal(secret, account.id))
        return account.model_copy(update={"totp": totp})

    account = _there(await context.accounts.change(call.account_id, changed))
    await audit.record(call, account.id, Action.TOTP_SET_UP)
    url = otpauth_url(secret, account.email)
    qr_code = segno.make_qr(url).png_data_uri(scale=_QR_SCALE)
    return Answer(SetupTOTPResponse(secret=secret, otpauth_url=url, qr_code_png=qr_code))


async def enable(call: AccountCall[EnableTOTPRequest]) -> Answer:
    """Ask for codes from now on, and give out backup codes."""
    context, codes, now = call.context, new_backup_codes(), utc_now()
    context.throttles.code.admit(call.client, call.account_id)

    def changed(account: Account) -> Account:
        if account.totp is None:
            raise Unprocessable("totp_not_set_up", "Set two-factor authentication up first.")
        if account.totp.enabled:
            raise _enabled_already()
        secret = secret_of(context.box, account, account.totp)
        step = timecode_of(call.input.code, secret, now, after=account.totp.last_timecode)
        if step is None:
            raise wrong_code()
        return _with_codes(account, account.totp, codes, context, last_timecode=step, enabled=True)

    account = _there(await context.accounts.change(call.account_id, changed))
    await audit.record(call, account.id, Action.TOTP_ENABLED)
    return Answer(BackupCodesResponse(backup_codes=list(codes)))


async def disable(call: AccountCall[TOTPCodeRequest]) -> Answer:
    """Ask for no codes any more."""

    def changed(account: Account) -> Account:
        return account.model_copy(update={"totp": None})

    await _change_with_code(call, changed, Action.TOTP_DISABLED)
    return Answer()


async def regenerate(call: AccountCall[TOTPCodeRequest]) -> Answer:
    """Give out new backup codes in place of the former."""
    codes = new_backup_codes()

    def changed(account: Account) -> Account:
        if account.totp is None:
            raise _not_enabled()
        return _with_codes(account, account.totp, codes, call.context)

    await _change_with_code(call, changed, Action.BACKUP_CODES_REGENERATED)
    return Answer(BackupCodesResponse(backup_codes=list(codes)))


async def _change_with_code(
    call: AccountCall[TOTPCodeRequest], changed: Callable[[Account], Account], action: Action
) -> None:
    """Change the account of one who shows a code, which is spent in the same write."""
    context, factor = call.context, Factor(call.context.box, call.input.code, utc_now())
    context.throttles.code.admit(call.client, call.account_id)

    def checked(account: Account) -> Account:
        if not account.needs_code:
            raise _not_enabled()
        return changed(factor.spent(account))

    account = _there(await context.accounts.change(call.account_id, checked))
    if factor.was_backup_code:
        await audit.record(call, account.id, Action.BACKUP_CODE_USED)
    await audit.record(call, account.id, action)


def _with_codes(
    account: Account, totp: Totp, codes: Sequence[str], context: Context, **changes: object
) -> Account:
    hashes = backup_hashes(codes, secret_of(context.box, account, totp))
    totp = totp.model_copy(update={"backup_hashes": hashes, **changes})
    return account.model_copy(update={"totp": totp})


def _there(account: Account | None) -> Account:
    if account is None:
        raise Unauthorized("unauthorized", "The account of this access token does not exist.")
    return account


def _enabled_already() -> Conflict:
    return Conflict("totp_already_enabled", "Two-factor authentication is enabled already.")


def _not_enabled() -> Unprocessable:
    return Unprocessable("totp_not_enabled", "Two-factor authentication is not enabled.")
