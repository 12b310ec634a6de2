"""A real RabbitMQ and a real store on free ports, started once a session and stopped at its end.

What is missing fails the tests; nothing is skipped. A test gets a database of its own, and queues
that are empty. The broker may be killed and frozen; it is back for the next test.
"""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from aio_pika import connect

from conduit.bus.topology import declare, queues
from conduit.settings import BusSettings, StoreSettings
from conduit_local import rabbitmq
from conduit_local.programs import INFRASTRUCTURE
from conduit_local.stack import Stack
from tests.support.frozen import wait_until_stopped


class Broker:
    """The session's RabbitMQ, to be mistreated."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.url = stack.urls.amqp

    def kill(self) -> None:
        """End it with SIGKILL. The supervisor starts it again at once."""
        self.wait_until_killable()
        self._stack.kill("rabbitmq")

    def wait_until_killable(self) -> None:
        """Return when a kill ends nothing but the process."""
        self._wait_until_queues_are_durable()
        # A program that ends sooner has not started for the supervisor, which may then give it up.
        self._wait_for_state("RUNNING")

    def wait_ready(self) -> None:
        """Return when it answers."""
        self._wait_for_state("STARTING", "RUNNING")
        self._stack.wait_ready(selected=["rabbitmq"])

    def wipe(self) -> None:
        """Stop it, take its disk away, and start it again; returns when it answers."""
        self.stop()
        shutil.rmtree(self._stack.data_dir / "rabbitmq" / "mnesia")
        self.start()

    def stop(self) -> None:
        """Stop it in order, and keep it stopped until `start`."""
        self._stack.stop_program("rabbitmq")

    def start(self) -> None:
        """Start it after `stop`; returns when it answers."""
        self._stack.start_program("rabbitmq")
        self.wait_ready()

    def freeze(self) -> None:
        """Let it neither answer nor close connections, until `thaw`."""
        wait_until_stopped(self._stack.kill("rabbitmq", signal.SIGSTOP))

    def thaw(self) -> None:
        """Let it go on."""
        self._stack.kill("rabbitmq", signal.SIGCONT)

    def restore(self) -> None:
        """Have it running again, whatever a test did to it."""
        if self._state() == "STOPPED":
            self._stack.start_program("rabbitmq")
        # It may be frozen in its first second too, when it is only starting for the supervisor.
        self._wait_for_state("STARTING", "RUNNING")
        self.thaw()
        self.wait_ready()

    def _wait_until_queues_are_durable(self) -> None:
        """Return when the broker has written all queues' names to disk.

        RabbitMQ does so half a second after the last queue was made; killed before, it keeps that
        queue but never serves it again. (3.10: ra_directory's DETS table.)
        """
        names = [f"_{queue.name}".encode() for queue in queues()]
        home = self._stack.data_dir / "rabbitmq"

        def durable() -> bool:
            written = b"".join(path.read_bytes() for path in home.rglob("names.dets"))
            return all(name in written for name in names)

        _wait(durable, "RabbitMQ did not write its queues down")

    def _wait_for_state(self, *states: str) -> None:
        _wait(lambda: self._state() in states, f"RabbitMQ did not get {states}")

    def _state(self) -> str:
        return self._stack.states()["rabbitmq"]


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


@pytest.fixture(scope="session")
def infrastructure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """RabbitMQ and the embedded store."""
    if rabbitmq.server() is None:
        pytest.fail("RabbitMQ is not installed: `make setup` installs it on Debian")
    with Stack.isolated(tmp_path_factory.mktemp("stack"), INFRASTRUCTURE) as stack:
        yield stack


@pytest.fixture(scope="session")
def broker_url(infrastructure: Stack) -> str:
    """URL of the session's RabbitMQ."""
    return infrastructure.urls.amqp


@pytest.fixture(scope="session")
def mongodb_url(infrastructure: Stack) -> str:
    """URL of the session's embedded store."""
    return infrastructure.urls.mongodb


@pytest.fixture
def broker(infrastructure: Stack) -> Iterator[Broker]:
    """The session's RabbitMQ, for tests that mistreat it."""
    broker = Broker(infrastructure)
    yield broker
    broker.restore()


@pytest.fixture
async def bus_settings(broker_url: str) -> BusSettings:
    """How to reach RabbitMQ, all queues being there and empty."""
    async with await connect(broker_url) as connection:
        channel = await connection.channel()
        await declare(channel)
        for queue in queues():
            await (await channel.get_queue(queue.name, ensure=False)).purge()
    return BusSettings(amqp_url=broker_url, publish_timeout=2)


@pytest.fixture
def store_settings(mongodb_url: str) -> StoreSettings:
    """How to reach the store, with a database of this test's own."""
    return StoreSettings(mongodb_url=mongodb_url, mongodb_database=f"test_{uuid4().hex}")
