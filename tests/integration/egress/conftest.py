"""Senders on the loop that the services run on, and what believes a test's own authority."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.support.authority import Authority


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of this directory on uvloop: its transports, TLS in TLS among them, differ."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of all that speak TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let its certificates be believed, as SSL_CERT_FILE does when a process starts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
