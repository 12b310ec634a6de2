"""The whole local stack, and a user of it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from conduit_local.ports import LOOPBACK, Ports
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.addresses import own_address
from tests.support.dns import DnsServer
from tests.support.user import User, open_user

SETTINGS = {"CONDUIT_RETRY_DELAYS": "1,2,2,2,2,2,2,2,2", "CONDUIT_RETRY_JITTER": "0"}


@pytest.fixture(scope="session")
def dns_port() -> int:
    """Where the stack asks DNS."""
    return Ports.free().store


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, dns_port: int) -> Iterator[Stack]:
    """RabbitMQ, the embedded store and the four services."""
    settings = SETTINGS | {"CONDUIT_DNS_SERVERS": f"{LOOPBACK}:{dns_port}"}
    with Stack.isolated(tmp_path_factory.mktemp("e2e"), settings=settings) as stack:
        yield stack


@pytest.fixture
async def dns(dns_port: int) -> AsyncIterator[DnsServer]:
    """The DNS server that the stack asks, during this test."""
    async with DnsServer(dns_port) as server:
        yield server


@pytest.fixture
async def user(stack: Stack) -> AsyncIterator[User]:
    """Somebody with a new account, signed in."""
    async with open_user(stack.urls.api) as user:
        yield user


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The user's endpoint."""
    async with Receiver(host=own_address()) as receiver:
        yield receiver
