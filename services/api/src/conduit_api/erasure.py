"""The removal of an account with everything that is its.

An account is marked first, in one write: from then on nobody can sign in to it, and its e-mail
address is free. What belonged to it is then swept away, credentials and webhooks before the rest,
and the mark goes last. Sweeping may stop anywhere and be repeated anywhere, on every replica: as
long as the mark is there, somebody sweeps again.

The mark stays for a while after all is gone. A request that was under way when it was set may add
something, and a dispatcher may record a call that it had begun: the sweeps until then take it away.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

from conduit.errors import Unavailable, VersionConflict
from conduit.model.account import Account
from conduit.model.record import utc_now
from conduit.settings import StoreSettings
from conduit.store.accounts import Accounts
from conduit.store.api_tokens import ApiTokens
from conduit.store.audit_log import AuditLog
from conduit.store.challenges import Challenges
from conduit.store.connection import Store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.holdings import Holdings
from conduit.store.mailed_tokens import email_confirmations, password_resets
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.sessions import Sessions
from conduit.store.slots import Slots
from conduit.store.smtp_policies import SmtpPolicies
from conduit.store.webhooks import Webhooks

log = logging.getLogger(__name__)

_PAUSE = 60.0
"""Seconds between two looks for accounts that are to be swept."""

_SETTLED = timedelta(minutes=10)
"""Longer than any request or webhook call takes."""

_ACCOUNTS = 1_000  # in one round; those marked last wait for the others to settle
_MAILS = 100  # in one write


class Erasure:
    """Marks accounts, and sweeps until nothing is left."""

    def __init__(
        self, store: Store, settings: StoreSettings, *, settled: timedelta = _SETTLED
    ) -> None:
        self._accounts = Accounts(store)
        self._credentials = (
            Sessions(store),
            ApiTokens(store),
            Challenges(store),
            password_resets(store),
            email_confirmations(store),
        )
        self._webhooks = Webhooks(store)
        self._possessions = (SmtpPolicies(store), Domains(store))
        self._messages = Messages(store, settings.message_retention)
        self._of_webhooks = (
            Deliveries(store, settings.log_retention),
            DeliveryLogs(store, settings.log_retention),
            Slots(store),
            EndpointHealths(store),
            Holdings(store),
            Notices(store),
        )
        self._deliveries = self._of_webhooks[0]
        self._audit_log = AuditLog(store)
        self._settled = settled
        self._wake = asyncio.Event()

    async def begin(self, account: Account) -> None:
        """Mark an account and take its access away; the rest follows in the background.

        Raise VersionConflict when its password was changed meanwhile. Raise StoreUnavailable when
        the store fails: if the mark is there by then, all goes on by itself.
        """
        webhooks = await self._webhooks.of_account(account.id)
        former = await self._audit_log.webhooks(account.id)
        ids = tuple({webhook.id for webhook in webhooks} | former)

        def marked(current: Account) -> Account:
            if current.password_hash != account.password_hash:
                raise VersionConflict(account.id)
            return _marked(current, ids)

        await self._accounts.change(account.id, marked)
        log.info("account.deleted", extra={"account_id": account.id})
        self._wake.set()
        await self._take_access(account)

    async def run(self) -> NoReturn:
        """Sweep until cancelled: at the start, after each mark, and now and then."""
        while True:
            self._wake.clear()
            try:
                await self.round()
            except Unavailable as error:
                log.warning("erasure.postponed", extra={"error": str(error)})
            try:
                async with asyncio.timeout(_PAUSE):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def round(self) -> None:
        """Sweep what is marked, and remove the marks that are old enough."""
        for account in await self._accounts.deleted(_ACCOUNTS):
            await self._take_access(account)
            await self._take_the_rest(account)
            if account.deleted_at is not None and utc_now() >= account.deleted_at + self._settled:
                await self._accounts.remove(account.id)
                log.info("account.erased", extra={"account_id": account.id})

    async def _take_access(self, account: Account) -> None:
        """End what lets anybody in: people, programs and mail."""
        for collection in (*self._credentials, self._webhooks):
            await collection.forget(account.id)

    async def _take_the_rest(self, account: Account) -> None:
        for possession in self._possessions:
            await possession.forget(account.id)
        ids = account.deleted_webhooks
        await self._take_mails(ids)
        for collection in self._of_webhooks:
            await collection.forget(ids)
        await self._audit_log.forget(account.id)

    async def _take_mails(self, webhook_ids: Sequence[str]) -> None:
        """Delete kept mails; one that came for other accounts too is theirs until it expires."""
        async for message_ids in self._deliveries.unshared_mails(webhook_ids, _MAILS):
            await self._messages.forget(message_ids)


def _marked(account: Account, webhook_ids: tuple[str, ...]) -> Account:
    """Return what is kept of an account until all else is gone: nothing that is personal."""
    return Account(
        id=account.id,
        version=account.version,
        created_at=account.created_at,
        updated_at=account.updated_at,
        email=f"deleted {account.id}",
        password_hash="",
        deleted_at=utc_now(),
        deleted_webhooks=webhook_ids,
    )
