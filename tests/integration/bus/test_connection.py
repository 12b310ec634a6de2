"""Connecting to RabbitMQ: waited for as long as it is away, and tried again when it is silent."""

import asyncio

import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from conduit.bus import connection
from conduit.bus.connection import Bus, open_bus
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES
from conduit.errors import BrokerUnavailable
from conduit.events import Packet
from conduit.settings import BusSettings
from tests.support.infrastructure import Broker
from tests.support.polling import eventually

AWAY = "amqp://127.0.0.1:1/"


async def test_a_broker_that_is_away_is_waited_for(
    bus_settings: BusSettings, broker: Broker
) -> None:
    await asyncio.to_thread(broker.stop)

    async def connect() -> bool:
        async with open_bus(bus_settings) as bus:
            return await bus.available()

    connecting = asyncio.create_task(connect())
    await asyncio.wait([connecting], timeout=0.2)
    assert not connecting.done()
    await asyncio.to_thread(broker.start)
    assert await asyncio.wait_for(connecting, 10)


@pytest.mark.parametrize("nodes", ["{away},{there}", "{away},{away},{there}", "{there},{away}"])
async def test_a_node_that_is_away_is_passed_over(bus_settings: BusSettings, nodes: str) -> None:
    urls = nodes.format(away=AWAY, there=bus_settings.amqp_url)
    async with asyncio.timeout(30), open_bus(BusSettings(amqp_url=urls)) as bus:
        assert await bus.available()


async def test_a_lost_connection_comes_back_at_another_node(
    bus_settings: BusSettings, broker: Broker
) -> None:
    urls = f"{bus_settings.amqp_url},{AWAY}"
    async with open_bus(BusSettings(amqp_url=urls)) as bus:
        publisher = Publisher(bus)
        await publisher.open()
        await asyncio.to_thread(broker.kill)
        await eventually(lambda: not bus.connected, what="the lost connection")
        await eventually(bus.available, within=30, what="another connection")
        await eventually(lambda: published(publisher), within=30, what="a channel on it")


async def test_a_consumer_that_cannot_be_leaves_nothing_behind(bus: Bus) -> None:
    owner = await bus.channel()
    taken = await owner.declare_queue("taken", exclusive=True)
    await taken.consume(_ignored, exclusive=True)
    transport = bus._connection.transport
    assert transport is not None
    channels = set(transport.connection.channels)
    for queue, error in (("taken", ChannelAccessRefused), ("missing", ChannelNotFoundEntity)):
        with pytest.raises(error):
            await bus.consume(queue, lambda _: None, prefetch=1)
    assert not bus._wire._takers
    await eventually(lambda: set(transport.connection.channels) == channels, what="no more channel")


async def _ignored(_message: AbstractIncomingMessage) -> None:
    """Nothing comes."""


async def published(publisher: Publisher) -> bool:
    """Publish, and return whether that was possible."""
    try:
        await publisher.publish(Packet("test", 1, b"{}"), DELIVERIES)
    except BrokerUnavailable:
        return False
    return True


async def test_a_server_that_takes_connections_and_says_nothing_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.1)
    connections: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        async def connect() -> None:
            async with open_bus(BusSettings(amqp_url=f"amqp://127.0.0.1:{port}/")):
                pass

        connecting = asyncio.create_task(connect())
        await eventually(lambda: len(connections) >= 2, what="another try")
        connecting.cancel()
        await asyncio.wait([connecting])
        for writer in connections:
            writer.close()
