"""A real dispatcher process with its own RabbitMQ and store, and an endpoint that it calls."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from conduit_local.programs import INFRASTRUCTURE
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.addresses import own_address
from tests.support.mailroom import Mailroom, open_mailroom

SYNC_LIMIT_PER_WEBHOOK = 3

SETTINGS = {
    "CONDUIT_RETRY_DELAYS": "1,1",
    "CONDUIT_RETRY_JITTER": "0",
    "CONDUIT_WEBHOOK_TIMEOUT": "2",
    "CONDUIT_WEBHOOK_CONNECT_TIMEOUT": "1",
    "CONDUIT_DISPATCHER_WEBHOOK_CACHE": "0.05",
    "CONDUIT_DISPATCHER_SYNC_LIMIT_PER_WEBHOOK": str(SYNC_LIMIT_PER_WEBHOOK),
}


@pytest.fixture(scope="session")
def dispatcher_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """RabbitMQ, the embedded store and a dispatcher."""
    directory = tmp_path_factory.mktemp("dispatcher")
    with Stack.isolated(directory, [*INFRASTRUCTURE, "dispatcher"], SETTINGS) as stack:
        yield stack


@pytest.fixture
async def mailroom(dispatcher_stack: Stack) -> AsyncIterator[Mailroom]:
    """Puts webhooks into the store and mails onto the queue, and reads the records."""
    async with open_mailroom(dispatcher_stack) as mailroom:
        yield mailroom


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint on loopback."""
    async with Receiver(host=own_address()) as receiver:
        yield receiver


@contextmanager
def other_dispatcher(stack: Stack, directory: Path, settings: Mapping[str, str]) -> Iterator[Stack]:
    """Run a dispatcher with other settings in place of the stack's own."""
    shared = {
        name: stack.plan.environment[name]
        for name in ("CONDUIT_AMQP_URL", "CONDUIT_MONGODB_URL", "CONDUIT_ENCRYPTION_KEYS")
    }
    stack.stop_program("dispatcher")
    try:
        with Stack.isolated(directory, ["dispatcher"], {**SETTINGS, **shared, **settings}) as other:
            yield other
    finally:
        stack.start_program("dispatcher")
        stack.wait_ready()
