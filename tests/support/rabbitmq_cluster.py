"""A cluster of three RabbitMQ nodes on loopback, whose queues' leaders can be moved and killed.

Each node has a loopback address of its own and all have the same ports, so that they find each
other without epmd.
"""

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from conduit_local import probes, rabbitmq
from conduit_local.keys import write_private
from conduit_local.ports import Ports

NODES = 3
_HOSTS = tuple(f"127.0.0.{number}" for number in range(11, 11 + NODES))
_START_SECONDS = 120
_INTERVAL = 0.1


class Node:
    """One node, in a directory of its own."""

    def __init__(self, directory: Path, host: str, ports: Ports) -> None:
        self.host = host
        self.name = f"conduit@{host}"
        self._directory = directory
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self.probe = probes.amqp(host, ports.amqp)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"amqp://guest:guest@{self.host}:{self._ports.amqp}/"

    def prepare(self, cookie: str) -> None:
        """Write the node's files."""
        self._directory.mkdir(mode=0o700)
        write_private(self._directory / ".erlang.cookie", cookie, mode=0o400)
        (self._directory / "enabled_plugins").write_text("[].\n")
        (self._directory / "rabbitmq.conf").write_text(self._configuration())

    def start(self) -> None:
        """Start it; returns before it is ready."""
        script = rabbitmq.server()
        assert script is not None, "RabbitMQ is not installed: `make setup` installs it on Debian"
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(script)],
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return when it greets clients."""
        _wait(lambda: self.probe() is None, lambda: f"{self.name} is not ready:\n{self._output()}")

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def _configuration(self) -> str:
        lines = {
            "listeners.tcp.own": f"{self.host}:{self._ports.amqp}",
            "cluster_formation.peer_discovery_backend": "classic_config",
            **{
                f"cluster_formation.classic_config.nodes.{number}": f"conduit@{host}"
                for number, host in enumerate(_HOSTS, start=1)
            },
            "cluster_partition_handling": "pause_minority",
            "loopback_users": "none",
            "disk_free_limit.absolute": "50MB",
            "log.console": "true",
            "log.console.level": "warning",
            "log.file": "false",
        }
        return "".join(f"{key} = {value}\n" for key, value in lines.items())

    def _environment(self) -> dict[str, str]:
        home = self._directory
        address = self.host.replace(".", ",")
        arguments = (
            f"-name {self.name} -start_epmd false -erl_epmd_port {self._ports.erlang}",
            f"-kernel inet_dist_use_interface {{{address}}}",
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        )
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        return {
            **inherited,
            "HOME": str(home),
            "ERL_AFLAGS": rabbitmq.PRELOAD,
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._ports.erlang),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(arguments),
        }

    def _output(self) -> str:
        return (self._directory / "output").read_text(errors="replace")[-2000:]


class Cluster:
    """Three nodes; `with` starts them, and kills them in the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = Ports.free()
        self.nodes = [
            Node(directory / f"node{number}", host, self._ports)
            for number, host in enumerate(_HOSTS, start=1)
        ]

    def __enter__(self) -> Self:
        self._directory.mkdir()
        cookie = secrets.token_hex(20)
        write_private(self._directory / ".erlang.cookie", cookie, mode=0o400)
        try:
            for node in self.nodes:
                node.prepare(cookie)
                node.start()
            for node in self.nodes:
                node.wait_ready()
            _wait(lambda: len(self._running()) == NODES, lambda: f"cluster of {self._running()}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def urls(self) -> str:
        """CONDUIT_AMQP_URL of the cluster."""
        return ",".join(node.url for node in self.nodes)

    def leader(self, queue: str) -> Node:
        """Return the node with the leader of a queue."""
        found = self._eval(f"{_queue(queue)}, amqqueue:get_leader(Q)")
        return next(node for node in self.nodes if node.name in found)

    def wait_complete(self) -> None:
        """Return when all nodes run and every queue has a follower on each that has caught up."""
        for node in self.nodes:
            node.wait_ready()
        _wait(self._is_complete, lambda: f"only {self._running()} run, or their queues lag")

    def transfer_leader(self, queue: str) -> None:
        """Have another node lead a queue."""
        leader = self.leader(queue)
        other = next(node for node in self.nodes if node is not leader)
        answer = self._eval(
            f"{_queue(queue)}, rabbit_quorum_queue:transfer_leadership(Q, '{other.name}')"
        )
        assert "migrated" in answer, answer

    def _is_complete(self) -> bool:
        """Whether no node is the last but one of a queue: `rabbitmq-queues check_if_…_critical`."""
        if len(self._running()) < NODES:
            return False
        critical = "length(rabbit_quorum_queue:list_with_minimum_quorum())"
        return all(self._eval(critical, node).strip() == "0" for node in self.nodes)

    def _running(self) -> set[str]:
        return set(re.findall(r"conduit@[0-9.]+", self._eval("rabbit_nodes:all_running()")))

    def _eval(self, expressions: str, node: Node | None = None) -> str:
        """Return what expressions of Erlang give on a node, any that answers."""
        asked: Sequence[Node] = [node] if node else [n for n in self.nodes if n.probe() is None]
        assert asked, "no node answers"
        text = expressions.replace('"', '\\"')
        call = (
            f'{{ok, T, _}} = erl_scan:string("{text}."), {{ok, E}} = erl_parse:parse_exprs(T), '
            f"{{value, V, _}} = erpc:call('{asked[0].name}', erl_eval, exprs, [E, []], 20000), "
            'io:format("~p~n", [V]), halt().'
        )
        done = subprocess.run(
            [
                *("erl", "-noshell", "-name", f"asking{os.getpid()}@127.0.0.1"),
                *("-start_epmd", "false", "-erl_epmd_port", str(self._ports.erlang)),
                *("-dist_listen", "false", "-hidden", "-eval", call),
            ],
            env={**os.environ, "HOME": str(self._directory)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{expressions}: {done.stdout[-500:]}{done.stderr[-500:]}"
        return done.stdout

    def _end(self) -> None:
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def _queue(name: str) -> str:
    return f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{name}">>))'


def _wait(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(_INTERVAL)
