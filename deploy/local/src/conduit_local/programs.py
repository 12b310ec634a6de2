"""The programs of the stack: how each is run, and when it is ready."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conduit_local import probes
from conduit_local.ports import LOOPBACK, Ports

INFRASTRUCTURE = ("store", "rabbitmq")
SERVICES = ("dispatcher", "verifier", "api", "smtp-ingest")
ALL = INFRASTRUCTURE + SERVICES

# The final checkpoint takes the store some seconds; cut short, its files are ruined.
_STORE_STOP_SECONDS = 60
# What a service gets beyond its own deadline for an ordered stop.
_SERVICE_STOP_SLACK = 5


@dataclass(frozen=True)
class Program:
    """A program under the supervisor. Lower priorities start earlier and stop later."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int
    probe: probes.Probe
    environment: Mapping[str, str] = field(default_factory=dict)


def prepare_store(data_dir: Path) -> None:
    """Make the embedded store's directory and configuration."""
    (data_dir / "store").mkdir(mode=0o700, exist_ok=True)
    (data_dir / "secantusd.toml").touch()


def store(data_dir: Path, ports: Ports) -> Program:
    """Return how to run the embedded store."""
    options = {
        # A configuration of our own (empty) keeps it from looking for one in the user's home.
        "--config": str(data_dir / "secantusd.toml"),
        "--host": LOOPBACK,
        "--port": str(ports.store),
        "--storage-path": str(data_dir / "store"),
        "--cache-size": "256M",
        "--log-level": "WARNING",
    }
    command = Path(sys.executable).with_name("secantusd-py")
    return Program(
        name="store",
        command=(
            str(command),
            "--standalone",
            *(word for pair in options.items() for word in pair),
        ),
        priority=10,
        stop_seconds=_STORE_STOP_SECONDS,
        probe=probes.tcp(ports.store),
    )


def service(name: str, ports: Ports, stop_timeout: float) -> Program:
    """Return how to run one of Conduit's services."""
    module = "conduit_" + name.replace("-", "_")
    metrics = {
        "api": ports.api_metrics,
        "smtp-ingest": ports.smtp_metrics,
        "dispatcher": ports.dispatcher_metrics,
        "verifier": ports.verifier_metrics,
    }
    return Program(
        name=name,
        command=(sys.executable, "-m", module),
        priority=30 + 10 * SERVICES.index(name),
        stop_seconds=int(stop_timeout) + _SERVICE_STOP_SLACK,
        probe=probes.readyz(metrics[name]),
    )
