"""How the verifier is put together."""

from datetime import timedelta

from conduit.bus.connection import open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcServer
from conduit.bus.topology import DOMAINS_VERIFY
from conduit.dns.resolvers import make_resolver
from conduit.service import Lifecycle
from conduit.store.connection import open_store
from conduit.store.domains import Domains
from conduit.store.indexes import ensure_indexes
from conduit.telemetry.health import Health, serve_health
from conduit_verifier.checks import Checks
from conduit_verifier.schedule import Schedule
from conduit_verifier.settings import VerifierSettings


async def compose(settings: VerifierSettings, lifecycle: Lifecycle) -> None:
    """Build the verifier: operators' port, store, bus, and last what takes work in."""
    resolver = make_resolver(settings.dns_servers, lifetime=settings.verifier_dns_timeout)
    health = Health()
    await lifecycle.enter(
        serve_health(health, settings.metrics_host, settings.verifier_metrics_port)
    )

    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)
    domains = Domains(store)

    bus = await lifecycle.enter(open_bus(settings))
    health.add("bus", bus.available)
    publisher = Publisher(bus)
    await publisher.open()

    checks = Checks(domains, resolver)
    interval = timedelta(seconds=settings.verifier_recheck_interval)
    schedule = Schedule(domains, checks, interval=interval, misses=settings.verifier_recheck_misses)
    lifecycle.spawn(schedule.run(), "schedule")

    server = RpcServer(
        bus, publisher, DOMAINS_VERIFY, checks.answer, prefetch=settings.verifier_concurrency
    )
    await server.start()
    lifecycle.on_stop(server.stop)
    health.started()
    lifecycle.on_stop_now(health.stopping)
