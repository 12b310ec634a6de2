"""How the API service is put together. Release is the reverse of construction."""

from datetime import timedelta

from aiohttp import web

from conduit.bus.connection import Bus, open_bus
from conduit.bus.rpc import RpcClient
from conduit.security.passwords import PasswordHasher
from conduit.security.secrets import SecretBox
from conduit.security.tokens import AccessTokens
from conduit.service import Lifecycle
from conduit.store.accounts import Accounts
from conduit.store.connection import Store, open_store
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.indexes import ensure_indexes
from conduit.store.sessions import Sessions
from conduit.store.webhooks import Webhooks
from conduit.telemetry.health import Health, serve_health
from conduit_api.context import Context
from conduit_api.domain_checks import BusDomainChecks
from conduit_api.routes import OPERATIONS
from conduit_api.server import application
from conduit_api.settings import ApiSettings
from conduit_api.throttle import Throttles


async def compose(settings: ApiSettings, lifecycle: Lifecycle) -> None:
    """Build the service: the operators' port, the neighbours, and the listener last.

    RabbitMQ is no readiness check: all operations but one do without it, and that one answers 503.
    """
    health = Health()
    await lifecycle.enter(serve_health(health, settings.metrics_host, settings.api_metrics_port))

    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)

    bus = await lifecycle.enter(open_bus(settings))
    context = await _context(settings, store, bus)

    await _serve(context, settings, lifecycle)
    health.started()

    async def not_ready() -> None:
        health.stopping()

    lifecycle.on_stop(not_ready)


async def _context(settings: ApiSettings, store: Store, bus: Bus) -> Context:
    rpc = RpcClient(bus)
    await rpc.open()
    return Context(
        settings=settings,
        accounts=Accounts(store),
        sessions=Sessions(store),
        webhooks=Webhooks(store),
        domains=Domains(store),
        logs=DeliveryLogs(store, timedelta(days=settings.log_retention_days)),
        box=SecretBox(settings.encryption_keys),
        passwords=PasswordHasher(),
        tokens=AccessTokens(settings.token_keys),
        throttles=Throttles.configured(settings),
        domain_checks=BusDomainChecks(rpc),
    )


async def _serve(context: Context, settings: ApiSettings, lifecycle: Lifecycle) -> None:
    runner = web.AppRunner(
        application(context, OPERATIONS),
        access_log=None,
        shutdown_timeout=settings.stop_timeout / 2,  # the neighbours need the rest
    )
    await runner.setup()
    lifecycle.on_stop(runner.cleanup)
    await web.TCPSite(runner, settings.api_host, settings.api_port).start()
