"""Consuming: the one place where a message is acknowledged, derived from the handler's outcome."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from conduit.bus.connection import Bus, Subscription
from conduit.bus.deliveries import Delivery
from conduit.bus.packets import faults_of, from_message, was_begun
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES, DELIVERIES_DEAD, LANES, delay_queue
from conduit.errors import BrokerUnavailable, MalformedEvent, Unavailable, UnknownEventVersion
from conduit.events import Packet

log = logging.getLogger(__name__)

NEIGHBOUR_AWAY = 5
"""Seconds until a message is looked at again that could not be handled for want of a neighbour."""

MOST_FAULTS = 10
"""Unexpected failures of a handler on one message before it is dead-lettered."""

_PAUSE = 1.0  # seconds between tries to begin


async def _at_once() -> None:
    """Wait for nothing."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A packet to handle. `redelivered`: somebody may have begun on it before.

    `waited_for`: who published it waits for what comes of it, for a while. `may_give_way` is
    awaited before it is put off for later: behind a gate, that is done for few at a time.
    """

    packet: Packet
    redelivered: bool
    waited_for: bool = False
    may_give_way: Callable[[], Awaitable[None]] = _at_once


@dataclass(frozen=True, slots=True)
class Done:
    """Handled, nothing left to do. `told`, here and below, is for who awaits what comes of it."""

    told: Packet | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """To be handled again, as this packet, after some seconds, from this one of the lanes.

    `begun`: it comes back as one that somebody may have begun on, as after a fault.
    """

    packet: Packet
    seconds: float
    faults: int = 0
    told: Packet | None = None
    begun: bool = False
    lane: str = DELIVERIES


@dataclass(frozen=True, slots=True)
class Dead:
    """Never to be handled again, but kept."""

    packet: Packet
    told: Packet | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Handled; the packet goes to whoever asked."""

    packet: Packet


Outcome = Done | Again | Dead | Answer
Handler = Callable[[Incoming], Awaitable[Outcome]]


class Passage(Protocol):
    """That a message may begin."""

    async def give_way(self) -> None:
        """Return when it may be put off for later."""

    def leave(self) -> None:
        """Let others follow: it is settled."""


class Gate(Protocol):
    """Who says when each message may begin, of those that have come."""

    async def enter(self) -> Passage:
        """Return when one may begin."""


class Consumer:
    """Hands each message of a queue to a handler, up to `prefetch` at a time, `gate` permitting.

    What the outcome asks for is published and confirmed before the message is acknowledged, so a
    crash at any point repeats a message and never loses one.
    """

    def __init__(
        self,
        bus: Bus,
        publisher: Publisher,
        queue: str,
        handler: Handler,
        *,
        prefetch: int,
        gate: Gate | None = None,
    ) -> None:
        self._bus = bus
        self._publisher = publisher
        self._name = queue
        self._lane = queue if queue in LANES else DELIVERIES
        self._handler = handler
        self._prefetch = prefetch
        self._gate = gate
        self._in_flight: dict[Delivery, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._subscription: Subscription | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin to consume; it goes on by itself after the connection was lost.

        One that is lost at this moment is waited for: what has started already would otherwise
        have to stop in the middle of its work.
        """
        while True:
            try:
                return await self._begin()
            except (ConnectionError, ChannelInvalidStateError) as error:
                log.warning("consumer.waits", extra={"queue": self._name, "error": str(error)})
                await asyncio.sleep(_PAUSE)

    async def _begin(self) -> None:
        self._subscription = await self._bus.consume(
            self._name, self._receive, prefetch=self._prefetch
        )

    async def stop(self) -> None:
        """Take no more, and wait for what is in flight."""
        self._stopping = True
        if self._subscription is not None:
            try:
                await self._subscription.cancel()
            except (AMQPError, OSError, RuntimeError) as error:
                log.info("consumer.cancel_failed", extra={"queue": self._name, "error": str(error)})
        if self._in_flight:
            await asyncio.wait(self._in_flight.values())

    def _receive(self, message: Delivery) -> None:
        if self._stopping:
            # A connection that comes back during the stop goes on consuming. What is not
            # acknowledged is given out again when it closes.
            return
        handling = self._gated(message, self._gate) if self._gate else self._handle(message)
        self._in_flight[message] = self._loop.create_task(handling)

    async def _gated(self, message: Delivery, gate: Gate) -> None:
        """Handle a message when its turn comes.

        What has not begun at a stop, or when its channel is lost, is for whoever gets it next.
        """
        try:
            passage = await gate.enter()
            try:
                if message.lost:
                    return
                if self._stopping:
                    message.nack()
                else:
                    await self._handle(message, passage.give_way)
            finally:
                passage.leave()
        finally:
            self._in_flight.pop(message, None)

    async def _handle(
        self, message: Delivery, may_give_way: Callable[[], Awaitable[None]] = _at_once
    ) -> None:
        try:
            outcome = await self._outcome(message, may_give_way)
            await self._settle(message, outcome)
        except (Unavailable, AMQPError, OSError, RuntimeError) as error:
            # Unacknowledged: the broker gives it out again, here or elsewhere.
            log.warning("consumer.unsettled", extra={"queue": self._name, "error": str(error)})
        finally:
            # Not by a callback of the task, which would be another turn of the loop's.
            self._in_flight.pop(message, None)

    async def _outcome(
        self, message: Delivery, may_give_way: Callable[[], Awaitable[None]]
    ) -> Outcome:
        try:
            packet = from_message(message)
        except MalformedEvent as error:
            return self._malformed(Packet(message.type or "", 0, b"", message.body), error)
        faults = faults_of(message)
        # A handler that failed on it may have done its work before.
        begun = message.redelivered or faults > 0 or was_begun(message)
        try:
            return await self._handler(
                Incoming(packet, begun, bool(message.reply_to), may_give_way)
            )
        except MalformedEvent as error:
            return self._malformed(packet, error)
        except UnknownEventVersion as error:
            return self._postponed(packet, faults, error, begun=begun)
        except Unavailable as error:
            # What is away may be where the handler would have written that it did its work.
            return self._postponed(packet, faults, error, begun=True)
        except Exception:
            log.exception("consumer.fault", extra={"queue": self._name})
            return self._faulted(packet, faults + 1)

    def _faulted(self, packet: Packet, faults: int) -> Outcome:
        if faults > MOST_FAULTS:
            return Dead(packet)
        return Again(packet, faults * 5, faults, lane=self._lane)

    def _malformed(self, packet: Packet, error: MalformedEvent) -> Outcome:
        log.error("consumer.malformed", extra={"queue": self._name, "error": str(error)})
        return Dead(packet)

    def _postponed(
        self,
        packet: Packet,
        faults: int,
        why: Unavailable | UnknownEventVersion,
        *,
        begun: bool,
    ) -> Outcome:
        log.warning("consumer.postponed", extra={"queue": self._name, "error": str(why)})
        return Again(packet, NEIGHBOUR_AWAY, faults, begun=begun, lane=self._lane)

    async def _settle(self, message: Delivery, outcome: Outcome) -> None:
        try:
            await self._forward(message, outcome)
        except BrokerUnavailable:
            message.nack()
            raise
        if not isinstance(outcome, Answer) and outcome.told is not None:
            await self._tell(message, outcome.told)
        message.ack()

    async def _tell(self, message: Delivery, told: Packet) -> None:
        """Tell who awaits it; one who is not told waits in vain, and nothing is lost."""
        try:
            await self._publisher.reply(told, message.reply_to or "", message.correlation_id)
        except BrokerUnavailable as error:
            log.info("consumer.untold", extra={"queue": self._name, "error": str(error)})

    async def _forward(self, message: Delivery, outcome: Outcome) -> None:
        match outcome:
            case Done():
                pass
            case Again(packet, seconds, faults, begun=begun, lane=lane):
                queue = delay_queue(seconds, lane)
                await self._publisher.publish(packet, queue, faults=faults, begun=begun)
            case Dead(packet):
                await self._publisher.publish(packet, DELIVERIES_DEAD)
            case Answer(packet):
                await self._publisher.reply(packet, message.reply_to or "", message.correlation_id)
