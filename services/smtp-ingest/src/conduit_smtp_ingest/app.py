"""How the SMTP ingest is put together; what is built last stops first."""

import asyncio
import logging

from conduit.bus.connection import open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES
from conduit.service import Lifecycle
from conduit.store.cached import Cached
from conduit.store.connection import open_store
from conduit.store.domains import Domains
from conduit.store.indexes import ensure_indexes
from conduit.store.messages import Messages
from conduit.store.webhooks import Webhooks
from conduit.telemetry.health import Health, serve_health
from conduit_smtp_ingest.certificate import tls_context
from conduit_smtp_ingest.intake import Intake
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.session import SmtpSession
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.settings import IngestSettings

log = logging.getLogger(__name__)

_CACHED_WEBHOOKS = 10_000
_CACHED_DOMAINS = 10_000


async def compose(settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """Build the service."""
    shared = settings.smtp_processes > 1
    health = Health()
    await lifecycle.enter(
        serve_health(health, settings.metrics_host, settings.smtp_metrics_port, shared=shared)
    )
    tls = tls_context(settings)

    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)
    webhooks = Cached(
        Webhooks(store).of_address, seconds=settings.smtp_webhook_cache, size=_CACHED_WEBHOOKS
    )
    owners = Cached(
        Domains(store).verified_by, seconds=settings.smtp_webhook_cache, size=_CACHED_DOMAINS
    )

    bus = await lifecycle.enter(open_bus(settings))
    health.add("bus", bus.available)
    publisher = Publisher(bus)
    await publisher.open()

    intake = Intake(
        webhooks.get,
        owners.get,
        publisher,
        Messages(store, settings.message_retention),
        queue=DELIVERIES,
        bus_limit=settings.smtp_bus_limit,
    )
    sessions = Sessions(settings.smtp_connection_limit)
    limits, budget = Limits.of(settings), Budget(settings.smtp_data_memory)

    def session() -> SmtpSession:
        return SmtpSession(
            intake, sessions, limits, budget, hostname=settings.smtp_hostname, tls=tls
        )

    server = await asyncio.get_running_loop().create_server(
        session, settings.smtp_host, settings.smtp_port, reuse_port=shared or None, backlog=1024
    )
    lifecycle.on_stop(sessions.retire)
    lifecycle.on_stop_now(server.close)
    health.started()
    lifecycle.on_stop_now(health.stopping)
    log.info("service.started", extra={"smtp_port": settings.smtp_port})
