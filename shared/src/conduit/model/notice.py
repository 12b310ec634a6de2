"""A notice: what the owner of a webhook is to be told of its endpoint, by mail."""

from datetime import datetime, timedelta
from enum import StrEnum

from conduit.model.record import Frozen
from conduit.model.webhook import Webhook


class Occasion(StrEnum):
    """What has happened: the endpoint fails, its webhook was paused for it, or it answered 410."""

    FAILING = "failing"
    PAUSED = "paused"
    GONE = "gone"


_SETTLED = timedelta(minutes=1)
"""Longer than a write takes."""


class Notice(Frozen):
    """One notice, for one webhook and one occasion; the same occasion has the same id.

    `since` is the moment from which on the endpoint has failed, or that of its 410. `error` is what
    it answered last. `pauses_at` is when its webhook will be paused, None for never or not again.
    """

    id: str
    occasion: Occasion
    webhook_id: str
    account_id: str
    since: datetime
    error: str | None
    made_at: datetime
    pauses_at: datetime | None = None

    @property
    def due_at(self) -> datetime:
        """The moment from which on it may be told: when what it says is so, or is not after all.

        That a webhook is switched off is written before it is.
        """
        return self.made_at + _SETTLED if self.occasion is Occasion.GONE else self.made_at


def failing_notice(
    webhook: Webhook, since: datetime, error: str | None, now: datetime, pauses_at: datetime | None
) -> Notice:
    """Return the notice that an endpoint has been failing for long."""
    return Notice(
        id=f"{webhook.id}:{Occasion.FAILING}:{since.isoformat()}",
        occasion=Occasion.FAILING,
        webhook_id=webhook.id,
        account_id=webhook.account_id,
        since=since,
        error=error,
        made_at=now,
        pauses_at=pauses_at,
    )


def paused_notice(webhook: Webhook, since: datetime, error: str | None, now: datetime) -> Notice:
    """Return the notice that a webhook was paused for its failing endpoint."""
    return Notice(
        id=f"{webhook.id}:{Occasion.PAUSED}:{since.isoformat()}",
        occasion=Occasion.PAUSED,
        webhook_id=webhook.id,
        account_id=webhook.account_id,
        since=since,
        error=error,
        made_at=now,
    )


def gone_notice(webhook: Webhook, now: datetime) -> Notice:
    """Return the notice that a webhook, as it stands here, is switched off for a 410.

    Dispatchers may come to it at the same time, each with a mail: the version makes it one.
    """
    return Notice(
        id=f"{webhook.id}:{Occasion.GONE}:{webhook.version}",
        occasion=Occasion.GONE,
        webhook_id=webhook.id,
        account_id=webhook.account_id,
        since=now,
        error=None,
        made_at=now,
    )
