"""How the dispatcher is put together; what is built last stops first."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from conduit.bus.connection import open_bus
from conduit.bus.consumer import Consumer, Handler, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.rpc import RpcServer, answering
from conduit.bus.topology import DELIVERIES_SYNC, WEBHOOKS_SIMULATE
from conduit.dns.resolvers import host_resolver
from conduit.security.attachment_links import AttachmentLinks
from conduit.security.secrets import SecretBox
from conduit.service import Lifecycle
from conduit.store.cached import Cached
from conduit.store.connection import Store, open_store
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.holdings import Holdings
from conduit.store.indexes import ensure_indexes
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.slots import Slots
from conduit.store.webhooks import Webhooks
from conduit.telemetry.health import Health, serve_health
from conduit.webhook.egress import Egress
from conduit_dispatcher.breaker import Rules
from conduit_dispatcher.calls import CallBuilder
from conduit_dispatcher.deliver import Deliverer
from conduit_dispatcher.door import Door
from conduit_dispatcher.endpoints import Endpoints
from conduit_dispatcher.lanes import BULK, HURRY
from conduit_dispatcher.links import LinkMaker
from conduit_dispatcher.mails import Mails
from conduit_dispatcher.pacing import Pacer, Patience
from conduit_dispatcher.places import Places
from conduit_dispatcher.recorder import Recorder
from conduit_dispatcher.releaser import Releaser
from conduit_dispatcher.retry import RetrySchedule
from conduit_dispatcher.sender import Sender, open_sender
from conduit_dispatcher.settings import DispatcherSettings
from conduit_dispatcher.simulation import Simulator
from conduit_dispatcher.synchronous import SyncDeliverer
from conduit_dispatcher.turnstile import Turnstile
from conduit_dispatcher.waiting import WaitingRoom

log = logging.getLogger(__name__)

_CACHED_WEBHOOKS = 10_000
_SIMULATIONS = 50  # at a time
_WAITING_SHARE = 4  # one in so many of those under way may be waiting for its moment
_TO_TELL = timedelta(seconds=10)
"""From the end of a call that was a probe until it is on record what it tells."""


async def compose(settings: DispatcherSettings, lifecycle: Lifecycle) -> None:
    """Build the service."""
    health = Health()
    await lifecycle.enter(
        serve_health(health, settings.metrics_host, settings.dispatcher_metrics_port)
    )
    store = await lifecycle.enter(open_store(settings))
    health.add("store", store.available)
    await ensure_indexes(store)

    bus = await lifecycle.enter(open_bus(settings))
    health.add("bus", bus.available)
    publisher = Publisher(bus)
    await publisher.open()

    sender = await lifecycle.enter(_sender(settings))
    messages = Messages(store, settings.message_retention)
    logs = DeliveryLogs(store, settings.log_retention)
    deliveries = Deliveries(store, settings.log_retention)
    recorder = Recorder(logs, deliveries, messages)
    lifecycle.spawn(recorder.run(), "recorder")
    webhooks, wait = Webhooks(store), settings.longest_wait
    releaser = Releaser(Holdings(store), deliveries, webhooks, publisher, recorder, wait)
    lifecycle.spawn(releaser.run(), "releaser")

    deliverer = _deliverer(settings, store, messages, sender, recorder)
    turnstile = Turnstile()
    lanes = [
        Consumer(
            bus,
            publisher,
            HURRY.queue,
            _hurrying(deliverer.handle, turnstile),
            prefetch=settings.dispatcher_prefetch,
        ),
        Consumer(
            bus,
            publisher,
            BULK.queue,
            _of_bulk_lane(deliverer, settings).handle,
            prefetch=settings.dispatcher_bulk_prefetch,
            gate=turnstile,
        ),
    ]
    lifecycle.on_stop(partial(_stop, lanes))
    for lane in lanes:
        await lane.start()

    # A consumer and a channel of its own: no backlog of queued mail is before who waits.
    once = replace(deliverer, schedule=RetrySchedule((), jitter=0))
    waiting = SyncDeliverer(once, settings.dispatcher_sync_limit_per_webhook)
    awaited = Consumer(
        bus,
        publisher,
        DELIVERIES_SYNC,
        _hurrying(answering(waiting.answer), turnstile),
        prefetch=settings.dispatcher_sync_prefetch,
    )
    await awaited.start()
    lifecycle.on_stop(awaited.stop)

    # Webhooks not from the cache, for their owner may have changed this one a moment ago.
    simulator = Simulator(Webhooks(store).of_id, deliverer.calls, sender, logs)
    server = RpcServer(bus, publisher, WEBHOOKS_SIMULATE, simulator.answer, prefetch=_SIMULATIONS)
    await server.start()
    lifecycle.on_stop(server.stop)
    health.started()
    lifecycle.on_stop_now(health.stopping)
    log.info("service.started")


def _sender(settings: DispatcherSettings) -> AbstractAsyncContextManager[Sender]:
    return open_sender(
        Egress(settings.egress_allow_http, settings.egress_allowed_networks),
        timeout=settings.webhook_timeout,
        connect_timeout=settings.webhook_connect_timeout,
        resolver=host_resolver(settings.dns_servers),
        proxy=settings.proxy,
    )


def _deliverer(
    settings: DispatcherSettings,
    store: Store,
    messages: Messages,
    sender: Sender,
    recorder: Recorder,
) -> Deliverer:
    webhooks = Webhooks(store)
    cached = Cached(
        webhooks.of_id,
        seconds=settings.dispatcher_webhook_cache,
        size=_CACHED_WEBHOOKS,
        renew=True,
    )
    calls = CallBuilder(
        SecretBox(settings.encryption_keys),
        attachment_limit=settings.webhook_attachment_limit,
        body_limit=settings.webhook_body_limit,
    )
    schedule = RetrySchedule.of_seconds(settings.retry_delays, settings.retry_jitter)
    mails = Mails(messages, schedule.longest_wait)
    signer = AttachmentLinks(settings.encryption_keys, settings.public_url)
    return Deliverer(
        lane=HURRY,
        webhook_of=cached.get,
        webhooks=webhooks,
        notices=Notices(store),
        mails=mails,
        waiting=WaitingRoom(
            HURRY,
            mails,
            Deliveries(store, settings.log_retention),
            Holdings(store),
            recorder,
            settings.longest_wait,
        ),
        calls=calls,
        links=LinkMaker(signer, messages, settings.message_retention),
        patience=Patience(settings.dispatcher_prefetch // _WAITING_SHARE),
        door=_door(settings, store),
        sender=sender,
        recorder=recorder,
        schedule=schedule,
    )


def _of_bulk_lane(deliverer: Deliverer, settings: DispatcherSettings) -> Deliverer:
    """Return the deliverer of the bulk lane, which takes no room from the mail in a hurry."""
    room, door = settings.dispatcher_bulk_prefetch, deliverer.door
    return replace(
        deliverer,
        lane=BULK,
        waiting=replace(deliverer.waiting, lane=BULK),
        patience=Patience(room // _WAITING_SHARE),
        door=replace(door, places=door.places.beside(room)),
    )


async def _stop(lanes: Sequence[Consumer]) -> None:
    """Stop them together: while one finishes slow calls, the other is to begin none."""
    await asyncio.gather(*(lane.stop() for lane in lanes))


def _hurrying(handle: Handler, turnstile: Turnstile) -> Handler:
    """Return the handler of a lane whose mail the bulk lane gives way to."""

    def hurried(incoming: Incoming) -> Awaitable[Outcome]:
        turnstile.hurry()
        return handle(incoming)

    return hurried


def _door(settings: DispatcherSettings, store: Store) -> Door:
    rules = Rules(
        failures=settings.breaker_failures,
        first=timedelta(seconds=settings.breaker_pause),
        longest=timedelta(seconds=settings.breaker_longest_pause),
        jitter=settings.retry_jitter,
        probe=timedelta(seconds=settings.webhook_timeout) + _TO_TELL,
    )
    return Door(
        endpoints=Endpoints(EndpointHealths(store), rules, cache=settings.dispatcher_webhook_cache),
        places=Places(settings.dispatcher_limit_per_webhook, settings.dispatcher_prefetch),
        pacer=Pacer(Slots(store)),
    )
