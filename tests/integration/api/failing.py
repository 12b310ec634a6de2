"""Endpoints that fail, in a store of their own: what dispatchers leave of them, and who watches."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

from conduit.model.account import Account
from conduit.model.audit import Action, AuditEntry
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.ids import Prefix, new_id
from conduit.model.webhook import Sealed, Webhook
from conduit.store.accounts import Accounts
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.notices import Notices
from conduit.store.webhooks import Webhooks
from conduit_api.background import Background
from conduit_api.courier import Courier
from conduit_api.endpoint_watch import EndpointWatch
from conduit_api.failing import Patience
from conduit_api.mailer import Mail, Mailer
from conduit_api.notice_mail import NoticeWriter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ERROR = "the endpoint answered 503"


@dataclass
class Post:
    """Keeps the mails that it is given, unless one for this recipient fails."""

    mails: list[Mail] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    away: Exception | None = None

    async def carry(self, mail: Mail, _message: EmailMessage) -> None:
        """Take a mail, or not."""
        error = self.away or self.failures.get(mail.to)
        if error is not None:
            raise error
        self.mails.append(mail)

    def subjects(self) -> list[str]:
        """Return what was taken, in order."""
        return [mail.subject for mail in self.mails]


@dataclass
class Replica:
    """One API service's watch and courier."""

    watch: EndpointWatch
    courier: Courier

    async def round(self, now: datetime) -> None:
        """Look at what fails, then send what is to be told."""
        await self.watch.round(now)
        await self.courier.round(now)


class Owners:
    """Accounts and webhooks in a store, and what there is on record of their endpoints."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.accounts = Accounts(store)
        self.webhooks = Webhooks(store)
        self.healths = EndpointHealths(store)
        self.notices = Notices(store)
        self.post = Post()

    def replica(
        self,
        *,
        paused_after: timedelta | None = 5 * DAY,
        webhooks: Webhooks | None = None,
        notices: Notices | None = None,
    ) -> Replica:
        """Return a replica of the service's watch, all of which share the store and the post."""
        webhooks, notices = webhooks or self.webhooks, notices or self.notices
        nobody = Background("outbox", at_once=1, waiting=1, pauses=())
        mailer = Mailer(
            self.post, nobody, sender="c@example.com", public_url="https://conduit.example.com"
        )
        patience = Patience(DAY, paused_after)
        log = AuditLog(self._store)
        return Replica(
            EndpointWatch(self.healths, webhooks, notices, log, patience),
            Courier(
                notices,
                self.accounts,
                webhooks,
                self.healths,
                mailer,
                NoticeWriter("https://conduit.example.com", 14 * DAY),
                pause=1,
            ),
        )

    async def account(self) -> Account:
        """Make an account."""
        account = Account(
            id=new_id(Prefix.ACCOUNT),
            created_at=NOON,
            updated_at=NOON,
            email=f"{uuid4().hex}@example.com",
            password_hash="hash",
        )
        await self.accounts.insert(account)
        return account

    async def webhook(self, account: Account | None = None, **fields: Any) -> Webhook:
        """Make a webhook, of an account of its own unless one is given."""
        owner = account or await self.account()
        defaults: dict[str, Any] = {
            "id": new_id(Prefix.WEBHOOK),
            "created_at": NOON,
            "updated_at": NOON,
            "account_id": owner.id,
            "address": f"{uuid4().hex[:16]}@example.org",
            "target_url": "https://example.com/hook",
            "secret": Sealed("sealed"),
        }
        webhook = Webhook(**defaults | fields)
        await self.webhooks.insert(webhook)
        return webhook

    async def failing(
        self, for_: timedelta, account: Account | None = None, **fields: Any
    ) -> Webhook:
        """Make a webhook whose endpoint has failed for so long, up to NOON."""
        webhook = await self.webhook(account, **fields)
        await self.fail(webhook, for_)
        return webhook

    async def fail(self, webhook: Webhook, for_: timedelta, until: datetime = NOON) -> None:
        """Record what a dispatcher does of an endpoint that fails."""
        health = EndpointHealth(
            webhook_id=webhook.id,
            failing_since=until - for_,
            failures=9,
            last_error=ERROR,
            last_failed_at=until,
        )
        assert await self.healths.write(health) is not None

    async def fails_on(self, webhook: Webhook, now: datetime) -> None:
        """Record one failed call more."""
        health = await self.healths.of_id(webhook.id)
        assert health is not None
        changes = {"failures": health.failures + 1, "last_failed_at": now}
        assert await self.healths.write(health.model_copy(update=changes)) is not None

    async def kept(self, webhook: Webhook) -> Webhook:
        """Return a webhook as the store has it."""
        kept = await self.webhooks.of_id(webhook.id)
        assert kept is not None
        return kept

    async def pauses_on_record(self, webhook: Webhook) -> list[AuditEntry]:
        """Return the audit log's entries of pauses."""
        entries = await AuditLog(self._store).newest(webhook.account_id, 50)
        return [entry for entry in entries if entry.action is Action.WEBHOOK_PAUSED]


class Interrupted(Webhooks):
    """The collection of webhooks, with somebody who acts whenever the watch has just read it."""

    def __init__(self, store: Store, act: Callable[[], Any]) -> None:
        super().__init__(store)
        self._act = act

    async def of_ids(self, webhook_ids: Collection[str]) -> Mapping[str, Webhook]:
        """Return webhooks, as they were before somebody acted."""
        found = await super().of_ids(webhook_ids)
        await self._act()
        return found
