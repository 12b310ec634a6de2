"""What a stack consists of: its ports, its programs, where broker and store are."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from conduit_local import keys, probes, programs, rabbitmq
from conduit_local.environment import local_environment, without_settings
from conduit_local.errors import NotRunning, StackError
from conduit_local.ports import DEFAULT_AMQP_URL, LOOPBACK, Ports, amqp_address
from conduit_local.programs import Program

_FILE = "stack.json"
_LOOPBACK_NAMES = (LOOPBACK, "localhost")


@dataclass(frozen=True)
class Plan:
    """A stack before it is started; `environment` is what its processes get."""

    data_dir: Path
    ports: Ports
    programs: tuple[str, ...]
    amqp_url: str
    mongodb_url: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def needed_ports(self) -> tuple[str, ...]:
        """Return the names of the ports that the programs will listen on."""
        of_program = {
            "rabbitmq": ("amqp", "erlang"),
            "store": ("store",),
            "api": ("api", "api_metrics"),
            "smtp-ingest": ("smtp", "smtp_metrics"),
            "dispatcher": ("dispatcher_metrics",),
            "verifier": ("verifier_metrics",),
        }
        return tuple(port for name in self.programs for port in of_program[name])

    def built(self) -> tuple[Program, ...]:
        """Return how to run the programs."""
        return tuple(map(self._program, self.programs))

    def prepare(self) -> None:
        """Write the files that the programs need."""
        (self.data_dir / "log").mkdir(mode=0o700, exist_ok=True)
        if "store" in self.programs:
            programs.prepare_store(self.data_dir)
        if "rabbitmq" in self.programs:
            rabbitmq.prepare(self.data_dir, self.ports, self.amqp_url)

    def save(self) -> None:
        """Keep the plan for the commands that come later."""
        values = asdict(self) | {"data_dir": str(self.data_dir), "environment": {}}
        keys.write_private(self.data_dir / _FILE, json.dumps(values))

    def _program(self, name: str) -> Program:
        if name == "rabbitmq":
            return rabbitmq.program(self.data_dir, self.ports)
        if name == "store":
            return programs.store(self.data_dir, self.ports)
        stop_timeout = float(self.environment.get("CONDUIT_STOP_TIMEOUT") or 25)
        return programs.service(name, self.ports, stop_timeout)


def load(data_dir: Path) -> Plan:
    """Return the plan of the stack that was started last in this directory."""
    try:
        values = json.loads((data_dir / _FILE).read_text())
    except FileNotFoundError:
        raise NotRunning(f"no stack is running in {data_dir}") from None
    return Plan(
        **values
        | {
            "data_dir": data_dir,
            "ports": Ports(**values["ports"]),
            "programs": tuple(values["programs"]),
        }
    )


def from_environment(environment: Mapping[str, str], data_dir: Path) -> Plan:
    """Return the stack of the `CONDUIT_…` variables; a broker or store that is there is used."""
    ports = Ports.from_environment(environment)
    amqp_url = environment.get("CONDUIT_AMQP_URL", DEFAULT_AMQP_URL)
    mongodb_url = environment.get("CONDUIT_MONGODB_URL")
    own = (
        *(() if mongodb_url else ("store",)),
        *(() if _broker_is_there(amqp_url, data_dir) else ("rabbitmq",)),
    )
    return _plan(data_dir, ports, own + programs.SERVICES, environment, (amqp_url, mongodb_url))


def isolated(
    data_dir: Path,
    selected: Sequence[str] = programs.ALL,
    settings: Mapping[str, str] | None = None,
) -> Plan:
    """Return a stack on free ports with a broker and a store of its own, and only these settings.

    Settings that name a broker or a store say where those are that are not selected. Without
    RabbitMQ on this machine, the broker at CONDUIT_AMQP_URL is used.
    """
    ports = Ports.free()
    given = dict(settings or {})
    amqp_url = given.get("CONDUIT_AMQP_URL", f"amqp://guest:guest@{LOOPBACK}:{ports.amqp}/")
    if rabbitmq.server() is None and (url := os.environ.get("CONDUIT_AMQP_URL")):
        amqp_url = url
        selected = [name for name in selected if name != "rabbitmq"]
    environment = without_settings(os.environ) | given
    urls = (amqp_url, given.get("CONDUIT_MONGODB_URL"))
    return _plan(data_dir, ports, tuple(selected), environment, urls)


def _plan(
    data_dir: Path,
    ports: Ports,
    selected: tuple[str, ...],
    inherited: Mapping[str, str],
    urls: tuple[str, str | None],
) -> Plan:
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    amqp_url, mongodb_url = urls[0], urls[1] or f"mongodb://{LOOPBACK}:{ports.store}"
    environment = local_environment(inherited, data_dir, ports, amqp_url, mongodb_url)
    return Plan(data_dir, ports, selected, amqp_url, mongodb_url, environment)


def _broker_is_there(url: str, data_dir: Path) -> bool:
    host, port = amqp_address(url)
    greeting = probes.greeting(host, port)
    if greeting is None and host not in _LOOPBACK_NAMES:
        raise StackError(
            f"no RabbitMQ answers at {host}:{port}: start it, or unset CONDUIT_AMQP_URL"
        )
    if greeting and rabbitmq.is_of_another_stack(greeting, data_dir):
        raise StackError(
            f"port {port} is taken by the RabbitMQ of another local stack: "
            "stop that, or set CONDUIT_AMQP_URL to another port"
        )
    return greeting is not None
