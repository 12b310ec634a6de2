"""RabbitMQ over TLS (amqps), which a relay in front of the tests' broker speaks for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext

from yarl import URL

from conduit.bus.connection import open_bus
from conduit.bus.consumer import Consumer, Done, Incoming, Outcome
from conduit.bus.publisher import Publisher
from conduit.bus.topology import DELIVERIES
from conduit.settings import BusSettings
from tests.integration.bus.conftest import Seen, packet
from tests.support.authority import Authority

LARGE = bytes(range(256)) * 4096  # some frames, and many records of TLS


async def done(_incoming: Incoming) -> Outcome:
    return Done()


@asynccontextmanager
async def relay(broker: URL, tls: SSLContext) -> AsyncIterator[int]:
    """Speak TLS for the broker until the end of the block; yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(broker.host, broker.port)
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()
    writer.close()


def over_tls(settings: BusSettings, port: int, authority: Authority) -> BusSettings:
    broker = URL(settings.amqp_url)
    url = broker.with_scheme("amqps").with_port(port).with_query(cafile=str(authority.file))
    return BusSettings(amqp_url=str(url))


async def test_messages_go_and_come_over_tls(bus_settings: BusSettings, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        relay(URL(bus_settings.amqp_url), authority.server("127.0.0.1")) as port,
        open_bus(over_tls(bus_settings, port, authority)) as bus,
    ):
        publisher, seen = Publisher(bus), Seen(done)
        await publisher.open()
        consumer = Consumer(bus, publisher, DELIVERIES, seen, prefetch=10)
        await consumer.start()
        for body in (b"small", LARGE, b""):
            await publisher.publish(packet(body), DELIVERIES)
        await seen.expect(b"small", LARGE, b"")
        await consumer.stop()


async def test_a_broker_without_a_certificate_of_its_authority_is_not_spoken_to(
    bus_settings: BusSettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger, authority = Authority(tmp_path / "other"), Authority(tmp_path)
    async with relay(URL(bus_settings.amqp_url), stranger.server("127.0.0.1")) as port:

        async def connect() -> None:
            async with open_bus(over_tls(bus_settings, port, authority)):
                pass

        connecting = asyncio.create_task(connect())
        await asyncio.wait([connecting], timeout=2)
        assert not connecting.done()
        connecting.cancel()
        await asyncio.wait([connecting])
