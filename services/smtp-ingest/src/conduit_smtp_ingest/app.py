"""How the SMTP ingest is put together; what is built last stops first."""

import asyncio
import logging
from functools import partial

from conduit.bus.connection import Bus, open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcClient
from conduit.dns.lookups import DnsLookups
from conduit.mail.authentication.authenticate import Authenticator
from conduit.model.policy import SmtpPolicy
from conduit.security.smtp_passwords import SmtpPasswordHasher
from conduit.service import Lifecycle
from conduit.store.cached import Cached
from conduit.store.connection import Store, open_store
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.indexes import ensure_indexes
from conduit.store.messages import Messages
from conduit.store.smtp_policies import SmtpPolicies
from conduit.store.webhooks import Webhooks
from conduit.telemetry.health import Health, serve_health
from conduit_smtp_ingest.allocation import keep_large_blocks_apart
from conduit_smtp_ingest.certificate import load_certificate
from conduit_smtp_ingest.credentials import MOST_USERS, Credentials
from conduit_smtp_ingest.directory import Directory
from conduit_smtp_ingest.failures import AuthFailures
from conduit_smtp_ingest.intake import Intake
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.listener import Listener
from conduit_smtp_ingest.neighbours import Neighbours, Terms
from conduit_smtp_ingest.refusals import Refusals
from conduit_smtp_ingest.server import Server
from conduit_smtp_ingest.sessions import Sessions
from conduit_smtp_ingest.settings import Authentication, IngestSettings
from conduit_smtp_ingest.shares import Shares
from conduit_smtp_ingest.synchronous import SyncDelivery

log = logging.getLogger(__name__)

_CACHED_POLICIES = 10_000
_CACHED_USERS = 1_000
_COUNTED_ADDRESSES = 100_000  # whose failed authentications are remembered


async def compose(settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """Build the service."""
    keep_large_blocks_apart()
    shared = settings.smtp_processes > 1
    health = Health()
    await lifecycle.enter(
        serve_health(health, settings.metrics_host, settings.smtp_metrics_port, shared=shared)
    )
    certificate = load_certificate(settings)
    if certificate is not None:
        lifecycle.spawn(certificate.watch(), "certificate")

    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)
    refusals = Refusals(
        DeliveryLogs(store, settings.log_retention), per_minute=settings.smtp_refusals_per_minute
    )
    lifecycle.on_stop(refusals.flush)
    lifecycle.spawn(refusals.run(), "refusals")

    bus = await lifecycle.enter(open_bus(settings))
    health.add("bus", bus.available)

    server = Server(
        intake=Intake(await _neighbours(settings, store, bus, refusals), _terms(settings)),
        credentials=_credentials(settings, store),
        auth_failures=AuthFailures(
            settings.smtp_auth_failure_limit_per_ip,
            settings.smtp_auth_failure_window,
            _COUNTED_ADDRESSES,
        ),
        sessions=Sessions(settings.smtp_connection_limit, settings.smtp_connection_limit_per_ip),
        limits=Limits.of(settings),
        budget=Budget(settings.smtp_data_memory),
        tls=certificate,
        proxies=settings.smtp_proxy_networks,
    )
    await _listen(server, settings, lifecycle)
    health.started()
    lifecycle.on_stop_now(health.stopping)
    log.info("service.started", extra={"smtp_port": settings.smtp_port})


async def _neighbours(
    settings: IngestSettings, store: Store, bus: Bus, refusals: Refusals
) -> Neighbours:
    publisher, rpc = Publisher(bus), RpcClient(bus)
    await publisher.open()
    await rpc.open()
    shares = Shares(settings.smtp_share_at_once, settings.smtp_share_per_second)
    return Neighbours(
        directory=Directory(
            Webhooks(store).of_addresses,
            Domains(store).verified_by,
            seconds=settings.smtp_webhook_cache,
        ),
        policy_of=_policies(settings, store).get,
        authenticator=Authenticator(
            DnsLookups(settings.dns_servers),
            signature_limit=settings.smtp_dkim_signature_limit,
            timeout=settings.smtp_authentication_timeout,
        ),
        lane_of=shares.lane,
        publisher=publisher,
        messages=Messages(store, settings.message_retention),
        sync=SyncDelivery(
            rpc,
            shares.lane,
            sync_timeout=settings.smtp_sync_timeout,
            queued_timeout=settings.smtp_sync_then_queued_timeout,
        ),
        refusals=refusals,
    )


def _terms(settings: IngestSettings) -> Terms:
    return Terms(
        bus_limit=settings.smtp_bus_limit,
        hostname=settings.smtp_hostname,
        authenticate_all=settings.smtp_authentication is Authentication.ALWAYS,
        recipients=settings.smtp_recipient_limit,
        sync_limit=settings.smtp_sync_limit,
    )


def _policies(settings: IngestSettings, store: Store) -> Cached[tuple[str, str], SmtpPolicy | None]:
    policies = SmtpPolicies(store)

    async def owned(ids: tuple[str, str]) -> SmtpPolicy | None:
        return await policies.owned(*ids)

    return Cached(owned, seconds=settings.smtp_webhook_cache, size=_CACHED_POLICIES)


def _credentials(settings: IngestSettings, store: Store) -> Credentials:
    users_of = Cached(
        partial(SmtpPolicies(store).with_username, limit=MOST_USERS),
        seconds=settings.smtp_webhook_cache,
        size=_CACHED_USERS,
    )
    return Credentials(users_of.get, SmtpPasswordHasher())


async def _listen(server: Server, settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """Listen on the ports; at the stop, close them first and then end the sessions."""
    lifecycle.on_stop(server.sessions.retire)
    ports = [(settings.smtp_port, False)]
    if settings.smtp_tls_port is not None:
        ports.append((settings.smtp_tls_port, True))
    for port, tls_first in ports:
        listening = await asyncio.get_running_loop().create_server(
            Listener(server, tls_first),
            settings.smtp_host,
            port,
            reuse_port=settings.smtp_processes > 1 or None,
            backlog=1024,
        )
        lifecycle.on_stop_now(listening.close)
