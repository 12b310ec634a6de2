"""The sending of notices: each owner gets one mail for what has happened at a time.

A notice is taken for a while, its mail is handed over, and then it is done. A mail that the relay
does not take for now is left for later, when that while is over, and holds up no other. What is no
longer so when its turn comes, because the endpoint is back or somebody has seen to the webhook, is
not told.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NoReturn

from conduit.errors import Unavailable
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.notice import Notice, Occasion
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.store.accounts import Accounts
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.notices import Notices
from conduit.store.webhooks import Webhooks
from conduit_api.mailer import Mailer
from conduit_api.notice_mail import NoticeWriter, Subject

log = logging.getLogger(__name__)

_BATCH = 500
"""Notices of one round."""

_ROUND = 60.0
"""Seconds after which a round begins no further mail: a slow relay shall not outlast `_TAKEN`."""

_TAKEN = timedelta(minutes=10)
"""How long a notice is taken for; longer than a round and a last mail together."""

_GIVEN_UP = timedelta(days=3)
"""The age of a notice whose mail is not tried again."""


class Courier:
    """Hands the mails of due notices over, in rounds `pause` seconds apart."""

    def __init__(
        self,
        notices: Notices,
        accounts: Accounts,
        webhooks: Webhooks,
        healths: EndpointHealths,
        mailer: Mailer,
        writer: NoticeWriter,
        *,
        pause: float,
    ) -> None:
        self._notices = notices
        self._accounts = accounts
        self._webhooks = webhooks
        self._healths = healths
        self._mailer = mailer
        self._writer = writer
        self._pause = pause

    async def run(self) -> NoReturn:
        """Go on until cancelled."""
        while True:
            try:
                await self.round(utc_now())
            except Unavailable as error:
                log.warning("courier.postponed", extra={"error": str(error)})
            await asyncio.sleep(self._pause)

    async def round(self, now: datetime) -> None:
        """Send what is due, one mail for an owner and occasion."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _ROUND
        for group in _groups(await self._notices.due(now, _BATCH)):
            if loop.time() > end:
                return
            try:
                await self._send(group, now)
            except Unavailable:
                raise
            except Exception:  # a mail that cannot be written is no reason to send no other
                log.exception("notice.failed", extra={"account_id": group[0].account_id})

    async def _send(self, group: Sequence[Notice], now: datetime) -> None:
        taken = [each for each in group if await self._notices.take(each.id, now, now + _TAKEN)]
        if taken and await self._told(taken, now):
            await self._notices.done([each.id for each in taken])

    async def _told(self, taken: Sequence[Notice], now: datetime) -> bool:
        """Have an owner told of what is still so; return False when that must wait."""
        account = await self._accounts.of_id(taken[0].account_id)
        subjects = await self._subjects(taken)
        if account is None or not subjects:
            return True
        try:
            await self._mailer.hand_over(self._writer.mail(account, subjects))
        except Unavailable as error:
            given_up = taken[0].made_at + _GIVEN_UP <= now
            log.log(
                logging.ERROR if given_up else logging.WARNING,
                "notice.given_up" if given_up else "notice.postponed",
                extra={"account_id": account.id, "count": len(taken), "error": str(error)},
            )
            return given_up
        return True

    async def _subjects(self, taken: Sequence[Notice]) -> list[Subject]:
        """Return what is still so, each webhook once."""
        ids = {each.webhook_id for each in taken}
        webhooks = await self._webhooks.of_ids(ids)
        healths = await self._healths.of_ids(ids)
        subjects = {}
        for notice in taken:
            webhook = webhooks.get(notice.webhook_id)
            if webhook and still_so(notice, webhook, healths.get(webhook.id)):
                subjects[webhook.id] = Subject(notice, webhook)
        return list(subjects.values())


def still_so(notice: Notice, webhook: Webhook, health: EndpointHealth | None) -> bool:
    """Whether a notice says what is so now."""
    match notice.occasion:
        case Occasion.FAILING:
            calls = webhook.active and webhook.paused_at is None
            return calls and health is not None and health.failing_since == notice.since
        case Occasion.PAUSED:
            return webhook.active and webhook.paused_at is not None
        case Occasion.GONE:
            return not webhook.active


def _groups(notices: Sequence[Notice]) -> list[list[Notice]]:
    """Put together what goes into one mail; who has waited the longest comes first."""
    waited = {id_: place for place, id_ in enumerate(dict.fromkeys(map(_mail_of, notices)))}
    ordered = sorted(notices, key=lambda notice: waited[_mail_of(notice)])
    return [list(group) for _, group in groupby(ordered, key=_mail_of)]


def _mail_of(notice: Notice) -> tuple[str, Occasion]:
    return notice.account_id, notice.occasion
