"""The ports of a stack: those of the settings, or a block of free ones."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

from conduit_local.errors import PortTaken, StackError

LOOPBACK = "127.0.0.1"
DEFAULT_AMQP_URL = "amqp://guest:guest@127.0.0.1:5672/"

# Below the range from which the kernel takes the ports of outgoing connections: a port of a program
# that was killed must not be taken by a client before the program is back.
_FIRST, _BLOCK, _BLOCKS = 20000, 16, 750

_VARIABLES = {
    "api": ("CONDUIT_API_PORT", 8080),
    "smtp": ("CONDUIT_SMTP_PORT", 2525),
    "api_metrics": ("CONDUIT_API_METRICS_PORT", 9101),
    "smtp_metrics": ("CONDUIT_SMTP_METRICS_PORT", 9102),
    "dispatcher_metrics": ("CONDUIT_DISPATCHER_METRICS_PORT", 9103),
    "verifier_metrics": ("CONDUIT_VERIFIER_METRICS_PORT", 9104),
}
_calls = count()


@dataclass(frozen=True)
class Ports:
    """TCP ports of one stack. `store` and `erlang` are its own affair, so any free one does."""

    api: int
    smtp: int
    api_metrics: int
    smtp_metrics: int
    dispatcher_metrics: int
    verifier_metrics: int
    amqp: int
    store: int
    erlang: int

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nothing listens on, other ones at every call."""
        return cls(*_free_block()[:9])

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Ports":
        """Ports of the `CONDUIT_…` variables and their defaults."""
        named = {name: _number(environment, *of) for name, of in _VARIABLES.items()}
        amqp = amqp_address(environment.get("CONDUIT_AMQP_URL", DEFAULT_AMQP_URL))[1]
        store, erlang = _free_block()[:2]
        return cls(**named, amqp=amqp, store=store, erlang=erlang)

    def variables(self) -> dict[str, str]:
        """Return the environment variables that tell the services their ports."""
        return {variable: str(getattr(self, name)) for name, (variable, _) in _VARIABLES.items()}


def first_amqp_url(urls: str) -> str:
    """Return the first of comma-separated AMQP URLs."""
    return re.split(r"\s*,\s*(?=amqps?://)", urls, maxsplit=1)[0]


def amqp_address(url: str) -> tuple[str, int]:
    """Return the host and port of an AMQP URL, of the first one if there are several."""
    parts = urlsplit(first_amqp_url(url))
    try:
        return parts.hostname or LOOPBACK, parts.port or 5672
    except ValueError as error:
        raise StackError(f"CONDUIT_AMQP_URL: {error}") from error


def check_free(ports: Ports, names: tuple[str, ...]) -> None:
    """Raise PortTaken for the first of these ports that another process has."""
    for name in names:
        port = getattr(ports, name)
        if not is_free(port):
            variable = _VARIABLES[name][0] if name in _VARIABLES else "CONDUIT_AMQP_URL"
            raise PortTaken(f"port {port} is taken by another process: end that, or set {variable}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _free_block() -> range:
    for block in _blocks():
        if all(map(is_free, block)):
            return block
    raise StackError(f"no {_BLOCK} free ports in a row from {_FIRST} on")


def _blocks() -> Iterator[range]:
    # The start depends on process and call: stacks that start at once look in different places.
    start = os.getpid() + next(_calls) * 101
    for index in range(_BLOCKS):
        first = _FIRST + (start + index) % _BLOCKS * _BLOCK
        yield range(first, first + _BLOCK)


def _number(environment: Mapping[str, str], variable: str, default: int) -> int:
    value = environment.get(variable) or str(default)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise StackError(f"{variable}: {value!r} is not a port")
    return int(value)
