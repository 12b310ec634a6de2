"""A private RabbitMQ node: all its files in the data directory, on loopback only, without epmd."""

import hashlib
import secrets
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from conduit_local import probes
from conduit_local.errors import StackError
from conduit_local.keys import write_private
from conduit_local.ports import LOOPBACK, Ports, amqp_address, first_amqp_url
from conduit_local.programs import Program

# The script itself, not the wrapper that Debian has in PATH: that one switches to another user.
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_NODE = "conduit@localhost"
_CLUSTER = "conduit-local-"

# RabbitMQ looks at every module of its applications when it boots and loads them one by one, each
# by trying all directories of the code path: 5 of its 6 seconds. Loaded in one go they take 1.
_PRELOADED = (
    "rabbit rabbit_common rabbitmq_prelaunch ra osiris ranch cuttlefish syslog sysmon_handler jsx "
    "recon observer_cli credentials_obfuscation stdlib ssl public_key mnesia inets compiler xmerl "
    "tools syntax_tools os_mon sasl"
)
PRELOAD = (
    '-eval \'code:ensure_modules_loaded([list_to_atom(filename:basename(File,".beam"))||'
    f"App<-[{','.join(_PRELOADED.split())}],is_list(code:lib_dir(App)),"
    'File<-filelib:wildcard(code:lib_dir(App)++"/ebin/*.beam")]).\''
)


def server() -> Path | None:
    """Return RabbitMQ's start script, None when it is not installed."""
    if _SCRIPT.exists():
        return _SCRIPT
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def cluster_name(data_dir: Path) -> str:
    """Return the name by which the broker of this data directory is told from others."""
    return _CLUSTER + hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]


def is_of_another_stack(greeting: bytes, data_dir: Path) -> bool:
    """Whether the broker that greets so was started by the stack of another data directory."""
    return _CLUSTER.encode() in greeting and cluster_name(data_dir).encode() not in greeting


def answers_at(url: str) -> bool:
    """Whether a broker greets at this URL."""
    return probes.greeting(*amqp_address(url)) is not None


def prepare(data_dir: Path, ports: Ports, url: str) -> None:
    """Write the node's files: its configuration, and at the first start its Erlang cookie."""
    home = data_dir / "rabbitmq"
    home.mkdir(mode=0o700, exist_ok=True)
    cookie = home / ".erlang.cookie"
    if not cookie.exists():
        write_private(cookie, secrets.token_hex(20), mode=0o400)
    (home / "enabled_plugins").write_text("[].\n")
    write_private(home / "rabbitmq.conf", _configuration(ports, url, cluster_name(data_dir)))


def program(data_dir: Path, ports: Ports) -> Program:
    """Return how to run the node."""
    script = server()
    if script is None:
        raise StackError(
            "RabbitMQ is not installed: install rabbitmq-server, "
            "or set CONDUIT_AMQP_URL to a running one"
        )
    return Program(
        name="rabbitmq",
        command=(str(script),),
        priority=20,
        stop_seconds=30,
        probe=probes.amqp(LOOPBACK, ports.amqp),
        environment=_environment(data_dir / "rabbitmq", ports),
    )


def _configuration(ports: Ports, url: str, name: str) -> str:
    parts = urlsplit(first_amqp_url(url))
    lines = {
        "listeners.tcp.local": f"{LOOPBACK}:{ports.amqp}",
        "cluster_name": name,
        "default_user": unquote(parts.username or "guest"),
        "default_pass": unquote(parts.password or "guest"),
        "default_vhost": unquote(parts.path[1:]) or "/",
        "disk_free_limit.absolute": "50MB",
        "log.console": "true",
        "log.console.level": "warning",
        "log.file": "false",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _environment(home: Path, ports: Ports) -> dict[str, str]:
    arguments = (
        # With its name set before it boots, RabbitMQ does not start epmd; nobody asks for its port.
        f"-sname {_NODE} -start_epmd false -erl_epmd_port {ports.erlang}",
        "-kernel inet_dist_use_interface {127,0,0,1}",
        # Two schedulers that sleep when there is nothing to do.
        "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
    )
    return {
        "HOME": str(home),
        "ERL_AFLAGS": PRELOAD,
        "ERL_CRASH_DUMP_SECONDS": "0",
        # The script then becomes the Erlang machine instead of keeping it as a child.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": _NODE,
        "RABBITMQ_DIST_PORT": str(ports.erlang),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(arguments),
    }
