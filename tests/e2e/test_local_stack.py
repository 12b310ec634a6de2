"""The local stack as a person uses it: up, twice up, status, down, run, demo, and ports in use."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conduit_local import processes
from conduit_local.environment import without_settings
from conduit_local.ports import LOOPBACK, Ports, is_free

_SECONDS = 60


class Shell:
    """Runs `python -m conduit_local …` with a data directory and ports of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = Ports.free()
        self.environment = {
            **without_settings(os.environ),
            **self.ports.variables(),
            "CONDUIT_AMQP_URL": f"amqp://guest:guest@{LOOPBACK}:{self.ports.amqp}/",
            "CONDUIT_DATA_DIR": str(data_dir),
        }

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Start a command; its output goes to a file beside the data directory."""
        with self.output(command).open("w") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "conduit_local", command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, command: str, expected: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        with self.start(command) as process:
            code = process.wait(_SECONDS)
        output = self.output(command).read_text()
        assert code == expected, output
        return output

    def output(self, command: str) -> Path:
        """Return the file with what a command printed last."""
        return self.data_dir.with_name(f"{command}.out")

    def leftovers(self) -> tuple[int, ...]:
        """Return the processes that run for this data directory."""
        return processes.of_stack(self.data_dir)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "data")
    yield shell
    if shell.data_dir.exists():
        shell.run("down")


def wait_until(what: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def test_up_returns_when_ready_and_down_leaves_nothing_running(shell: Shell) -> None:
    output = shell.run("up")
    assert f"http://127.0.0.1:{shell.ports.api}/docs" in output
    assert f"smtp://127.0.0.1:{shell.ports.smtp}" in output
    assert shell.run("status").count(" ready\n") == 6

    pids = shell.leftovers()
    assert "already running" in shell.run("up")
    assert shell.leftovers() == pids
    assert "already running" in shell.run("run", expected=1)

    os.kill(int((shell.data_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    assert "Conduit is running" in shell.run("up")
    assert not set(shell.leftovers()) & set(pids)

    shell.run("down")
    assert shell.leftovers() == ()
    assert all(is_free(port) for port in vars(shell.ports).values())
    assert "not running" in shell.run("down")
    assert "no stack is running" in shell.run("status", expected=1)


def test_a_port_that_is_taken_is_named_with_its_variable(shell: Shell) -> None:
    with socket.create_server((LOOPBACK, shell.ports.smtp)):
        output = shell.run("up", expected=1)
    assert f"port {shell.ports.smtp} is taken" in output
    assert "CONDUIT_SMTP_PORT" in output
    assert shell.leftovers() == ()


def test_something_else_at_the_brokers_port_is_named(shell: Shell) -> None:
    with socket.create_server((LOOPBACK, shell.ports.amqp)):
        output = shell.run("up", expected=1)
    assert f"port {shell.ports.amqp} is taken" in output
    assert "CONDUIT_AMQP_URL" in output


def test_a_bad_setting_ends_the_start_with_its_line_and_nothing_running(shell: Shell) -> None:
    shell.environment["CONDUIT_RETRY_DELAYS"] = "soon"
    output = shell.run("up", expected=1)
    assert "dispatcher" in output
    assert "CONDUIT_RETRY_DELAYS" in output
    assert shell.leftovers() == ()


def test_run_ends_in_order_at_ctrl_c(shell: Shell) -> None:
    with shell.start("run") as process:
        wait_until(lambda: "Ctrl-C" in shell.output("run").read_text())
        assert len(shell.leftovers()) > 6
        process.send_signal(signal.SIGINT)
        assert process.wait(_SECONDS) == 0
    assert shell.leftovers() == ()


def test_what_a_killed_run_leaves_ends_by_itself(shell: Shell) -> None:
    with shell.start("run") as process:
        wait_until(lambda: "Ctrl-C" in shell.output("run").read_text())
        process.kill()
    wait_until(lambda: not shell.leftovers())


def test_the_demo_shows_the_whole_way_and_leaves_nothing(shell: Shell) -> None:
    output = shell.run("demo")
    for shown in (
        "S: 250 2.0.0 queued as",
        "POST /mail",
        '"subject": "Grüße from SMTP"',
        "X-Conduit-Signature  valid",
        "webhook-signature    valid",
        '"http_status": 200',
    ):
        assert shown in output
