"""Giving an account a new password, and what that ends."""

from collections.abc import Callable

from conduit.model.account import Account
from conduit_api.context import Context


async def set_password(
    context: Context, account_id: str, changed: Callable[[Account], Account], *, keep: str | None
) -> Account | None:
    """Write what `changed` makes of the account, and end its sessions but perhaps one.

    They are ended before as well: should the store fail in between, no session stays that the new
    password was to end.
    """
    await _end_sessions(context, account_id, keep)
    account = await context.accounts.change(account_id, changed)
    await _end_sessions(context, account_id, keep)
    await context.password_resets.forget(account_id)
    return account


async def _end_sessions(context: Context, account_id: str, keep: str | None) -> None:
    await context.sessions.revoke_all(account_id, but=keep)
    await context.challenges.forget(account_id)
