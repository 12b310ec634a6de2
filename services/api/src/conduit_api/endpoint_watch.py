"""The watch over endpoints that fail for long: their owners are told, their webhooks paused.

Every replica watches. Whoever has looked at an endpoint writes until when nobody else need to, with
a check of what was read, so that one of them acts. A crash in between is made up for by the next
look: a notice has one id for one occasion, and a webhook that is paused, but of which its owner was
not told, is told of then.

A webhook is paused only as it was read before its endpoint was found to fail still. Whoever resumes
it removes the endpoint's health first and writes the webhook then, so one of the two writes here
fails, and what somebody has just seen to is not paused for what was before.
"""

import asyncio
import logging
from datetime import datetime
from typing import NoReturn, assert_never

from conduit.errors import Unavailable, VersionConflict
from conduit.model.audit import Action
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.notice import failing_notice, paused_notice
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.store.audit_log import AuditLog
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.notices import Notices
from conduit.store.webhooks import Webhooks
from conduit_api.audit import own_entry
from conduit_api.failing import Patience, Step, step_of

log = logging.getLogger(__name__)

_BATCH = 500
"""Endpoints of one round."""

_PAUSE = 60.0
"""Most seconds between two rounds."""


class EndpointWatch:
    """Looks at endpoints that have failed for long, in rounds."""

    def __init__(
        self,
        healths: EndpointHealths,
        webhooks: Webhooks,
        notices: Notices,
        audit_log: AuditLog,
        patience: Patience,
    ) -> None:
        self._healths = healths
        self._webhooks = webhooks
        self._notices = notices
        self._audit_log = audit_log
        self._patience = patience

    @property
    def pause(self) -> float:
        """Seconds between two rounds."""
        return min(_PAUSE, self._patience.between_looks.total_seconds())

    async def run(self) -> NoReturn:
        """Go on until cancelled."""
        while True:
            try:
                await self.round(utc_now())
            except Unavailable as error:
                log.warning("endpoint_watch.postponed", extra={"error": str(error)})
            await asyncio.sleep(self.pause)

    async def round(self, now: datetime) -> None:
        """Look at endpoints at which nobody has looked for a while."""
        due = await self._healths.due(now - self._patience.shortest, now, _BATCH)
        webhooks = await self._webhooks.of_ids([health.webhook_id for health in due])
        for health in due:
            await self._see_to(health, webhooks.get(health.webhook_id), now)

    async def _see_to(self, health: EndpointHealth, webhook: Webhook | None, now: datetime) -> None:
        step = step_of(health, webhook, now, self._patience)
        if webhook is None or step is Step.FORGET:
            await self._healths.forget([health.webhook_id])
            return
        leased = health.model_copy(update={"leased_until": now + self._patience.between_looks})
        seen_to = await self._healths.write(leased)
        if seen_to is not None and step is not Step.WAIT:
            await self._act(step, seen_to, webhook, now)

    async def _act(
        self, step: Step, health: EndpointHealth, webhook: Webhook, now: datetime
    ) -> None:
        match step:
            case Step.TELL_FAILING:
                await self._tell_failing(health, webhook, now)
            case Step.TELL_PAUSED:
                await self._tell_paused(health, webhook, now)
            case Step.PAUSE:
                await self._pause(health, webhook, now)
            case Step.WAIT | Step.FORGET:
                return
            case _:
                assert_never(step)

    async def _pause(self, health: EndpointHealth, webhook: Webhook, now: datetime) -> None:
        try:
            paused = await self._webhooks.replace(webhook.model_copy(update={"paused_at": now}))
        except VersionConflict:  # somebody has just seen to it; the next look tells
            return
        log.warning(
            "webhook.paused",
            extra={
                "webhook_id": webhook.id,
                "account_id": webhook.account_id,
                "failing_since": health.failing_since,
                "error": health.last_error,
            },
        )
        await self._tell_paused(health, paused, now)

    async def _tell_paused(self, health: EndpointHealth, webhook: Webhook, now: datetime) -> None:
        since = health.failing_since
        await self._notices.add(paused_notice(webhook, since, health.last_error, now))
        entry = own_entry(
            webhook.account_id, Action.WEBHOOK_PAUSED, webhook.id, failing_since=since.isoformat()
        )
        await self._audit_log.add(entry)
        await self._told(health, now)

    async def _tell_failing(self, health: EndpointHealth, webhook: Webhook, now: datetime) -> None:
        pauses_at = self._patience.pauses_at(health)
        notice = failing_notice(webhook, health.failing_since, health.last_error, now, pauses_at)
        await self._notices.add(notice)
        await self._told(health, now)

    async def _told(self, health: EndpointHealth, now: datetime) -> None:
        """Note that the owner will be told. Where the endpoint has changed since, a later look does

        so: the notice is there, and is not made twice.
        """
        await self._healths.write(health.model_copy(update={"noticed_at": now}))
