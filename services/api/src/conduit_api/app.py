"""How the API service is put together. Release is the reverse of construction."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from conduit.bus.connection import Bus, open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcClient
from conduit.security.attachment_links import AttachmentLinks
from conduit.security.passwords import PasswordHasher
from conduit.security.secrets import SecretBox
from conduit.security.smtp_passwords import SmtpPasswordHasher
from conduit.security.tokens import AccessTokens, Succession
from conduit.service import Lifecycle
from conduit.store.accounts import Accounts
from conduit.store.api_tokens import ApiTokens
from conduit.store.audit_log import AuditLog
from conduit.store.challenges import Challenges
from conduit.store.connection import Store, open_store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.indexes import ensure_indexes
from conduit.store.mailed_tokens import email_confirmations, password_resets
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.sessions import Sessions
from conduit.store.smtp_policies import SmtpPolicies
from conduit.store.webhooks import Webhooks
from conduit.telemetry.health import Health, serve_health
from conduit_api.background import Background
from conduit_api.context import Context
from conduit_api.courier import Courier
from conduit_api.domain_checks import BusDomainChecks
from conduit_api.endpoint_watch import EndpointWatch
from conduit_api.erasure import Erasure
from conduit_api.mail_carriers import carrier_of
from conduit_api.mailer import Mailer
from conduit_api.notice_mail import NoticeWriter
from conduit_api.replays import Replays
from conduit_api.routes import OPERATIONS
from conduit_api.server import application
from conduit_api.settings import ApiSettings
from conduit_api.simulations import BusSimulations
from conduit_api.throttle import Throttles
from conduit_api.wire import Runner


async def compose(settings: ApiSettings, lifecycle: Lifecycle) -> None:
    """Build the service: the operators' port, the neighbours, and the listener last.

    RabbitMQ is no readiness check: nearly all operations do without it, and the others answer 503.
    """
    health = Health()
    await lifecycle.enter(serve_health(health, settings.metrics_host, settings.api_metrics_port))

    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)

    bus = await lifecycle.enter(open_bus(settings))
    context = await _context(settings, store, bus, lifecycle)
    _watch_endpoints(context, lifecycle)

    await _serve(context, settings, lifecycle)
    health.started()

    async def not_ready() -> None:
        health.stopping()

    lifecycle.on_stop(not_ready)


def _background(
    settings: ApiSettings, lifecycle: Lifecycle, name: str, pauses: Sequence[float]
) -> Background:
    """Return what does work in the background, and at the stop finishes it within moments."""
    background = Background(name, at_once=4, waiting=1_000, pauses=pauses)
    lifecycle.spawn(background.run(), name)
    lifecycle.on_stop(partial(background.finish, settings.stop_timeout / 8))
    return background


def _mailer(settings: ApiSettings, lifecycle: Lifecycle) -> Mailer:
    outbox = _background(settings, lifecycle, "outbox", pauses=(1, 5, 30, 120))
    return Mailer(
        carrier_of(settings), outbox, sender=settings.mail_from, public_url=settings.public_url
    )


async def _context(settings: ApiSettings, store: Store, bus: Bus, lifecycle: Lifecycle) -> Context:
    rpc = RpcClient(bus)
    await rpc.open()
    publisher = Publisher(bus)
    await publisher.open()
    deliveries = Deliveries(store, settings.log_retention)
    messages = Messages(store, settings.message_retention)
    mailer = _mailer(settings, lifecycle)  # first, so that it stops after what leaves mails with it
    erasure = Erasure(store, settings)
    lifecycle.spawn(erasure.run(), "erasure")
    return Context(
        settings=settings,
        accounts=Accounts(store),
        sessions=Sessions(store),
        challenges=Challenges(store),
        password_resets=password_resets(store),
        email_confirmations=email_confirmations(store),
        api_tokens=ApiTokens(store),
        webhooks=Webhooks(store),
        healths=EndpointHealths(store),
        notices=Notices(store),
        policies=SmtpPolicies(store),
        domains=Domains(store),
        audit_log=AuditLog(store),
        logs=DeliveryLogs(store, settings.log_retention),
        deliveries=deliveries,
        messages=messages,
        box=SecretBox(settings.encryption_keys),
        attachment_links=AttachmentLinks(settings.encryption_keys, settings.public_url),
        passwords=PasswordHasher(),
        smtp_passwords=SmtpPasswordHasher(),
        tokens=AccessTokens(settings.token_keys),
        succession=Succession(settings.token_keys),
        background=_background(settings, lifecycle, "background", pauses=(1, 5, 15)),
        mailer=mailer,
        erasure=erasure,
        throttles=Throttles.configured(settings),
        domain_checks=BusDomainChecks(rpc),
        simulations=BusSimulations(rpc),
        replays=Replays(deliveries, messages, publisher),
    )


def _watch_endpoints(context: Context, lifecycle: Lifecycle) -> None:
    """Have the owners of endpoints that fail for long told, beside all that is asked for."""
    settings = context.settings
    watch = EndpointWatch(
        context.healths, context.webhooks, context.notices, context.audit_log, settings.patience
    )
    lifecycle.spawn(watch.run(), "endpoint_watch")
    courier = Courier(
        context.notices,
        context.accounts,
        context.webhooks,
        context.healths,
        context.mailer,
        NoticeWriter(settings.public_url, settings.longest_wait),
        pause=watch.pause,
    )
    lifecycle.spawn(courier.run(), "courier")


async def _serve(context: Context, settings: ApiSettings, lifecycle: Lifecycle) -> None:
    runner = Runner(
        application(context, OPERATIONS),
        keepalive_timeout=settings.api_keepalive_timeout,
        shutdown_timeout=settings.stop_timeout / 2,  # the neighbours need the rest
    )
    await runner.setup()
    lifecycle.on_stop(runner.cleanup)
    await web.TCPSite(runner, settings.api_host, settings.api_port).start()
