"""The process runner: supervisord, configured by a generated file, spoken to over a Unix socket."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from conduit_local.errors import NotRunning, StackError
from conduit_local.keys import write_private
from conduit_local.programs import Program

_START_SECONDS = 10
_INTERVAL = 0.02
_BAD_SETTING = 2  # exit code
# A Unix socket's path has 107 bytes on Linux, and supervisord adds a process id while it makes it.
_SOCKET_PATH_LIMIT = 95


class Supervisor:
    """supervisord of one data directory; the object can be made in any process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._socket = data_dir / "supervisor.sock"
        if len(os.fsencode(self._socket)) > _SOCKET_PATH_LIMIT:
            raise StackError(
                f"the path {data_dir} is too long: set CONDUIT_DATA_DIR to a shorter one"
            )
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        """Run supervisord in a session of its own and wait until it answers."""
        path = self._data_dir / "supervisord.conf"
        write_private(path, configuration(self._data_dir, programs))
        output = self._data_dir / "log" / "supervisord.out"
        with output.open("wb") as file:
            self._child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
                cwd=self._data_dir,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_it_answers(self._child, output)

    def answers(self) -> bool:
        """Whether supervisord listens on its socket; true until its last program has ended."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._socket))
            except OSError:
                return False
            return True

    def wait_until_gone(self, timeout: float) -> None:
        """Wait until supervisord has stopped all programs and ended."""
        deadline = time.monotonic() + timeout
        while self.answers():
            if time.monotonic() > deadline:
                raise StackError(f"the stack in {self._data_dir} did not stop in {timeout:g} s")
            time.sleep(_INTERVAL)
        if self._child is not None:
            self._child.wait(_START_SECONDS)
            self._child = None

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return what supervisord knows of each program: `statename`, `pid`, `start` …"""
        return {str(info["name"]): info for info in self._call("getAllProcessInfo")}

    def given_up(self) -> set[str]:
        """Return the programs that are not started again: no start succeeded, or a bad setting."""
        return {name for name, info in self.processes().items() if _is_given_up(info)}

    def start_program(self, name: str) -> None:
        """Start a program that was stopped."""
        self._call("startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Stop a program in order and keep it stopped."""
        self._call("stopProcess", name)

    def shut_down(self) -> None:
        """Ask supervisord to stop all programs in order and end; returns at once."""
        with suppress(NotRunning):
            self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401
        # A connection for each call: a kept one would be stale after a restart.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, HTTPException) as error:
            raise NotRunning(f"no stack is running in {self._data_dir}") from error
        except Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise NotRunning(f"the stack in {self._data_dir} is being stopped") from fault
            raise StackError(f"supervisor: {fault.faultString}") from fault

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], output: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise StackError(f"supervisord did not start: {output.read_text()[-500:].strip()}")
            time.sleep(_INTERVAL)


def configuration(data_dir: Path, programs: Iterable[Program]) -> str:
    """Return supervisord's configuration file."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": data_dir / "supervisor.sock", "chmod": "0700"},
        "supervisord": {
            "logfile": data_dir / "log" / "supervisord.log",
            "logfile_maxbytes": "5MB",
            "logfile_backups": 1,
            "pidfile": data_dir / "supervisord.pid",
            "nodaemon": "true",
            "silent": "true",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    sections |= {f"program:{program.name}": _program(data_dir, program) for program in programs}
    return "\n".join(_section(name, values) for name, values in sections.items())


def _is_given_up(info: Mapping[str, Any]) -> bool:
    # Any other program that has exited is about to be started again.
    state = info["statename"]
    return bool(state == "FATAL" or (state == "EXITED" and info["exitstatus"] == _BAD_SETTING))


def _program(data_dir: Path, program: Program) -> dict[str, object]:
    # Through env(1), as supervisor's own `environment` has no way to write a quotation mark.
    variables = (f"{name}={value}" for name, value in program.environment.items())
    return {
        "command": shlex.join(("/usr/bin/env", *variables, *program.command)),
        "directory": data_dir,
        "priority": program.priority,
        # With a bad setting another try would end the same way.
        "autorestart": "unexpected",
        "exitcodes": _BAD_SETTING,
        # What ends sooner has not started; it is given up when that happens three times in a row.
        "startsecs": 3,
        "startretries": 2,
        "stopwaitsecs": program.stop_seconds,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": data_dir / "log" / f"{program.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = (f"{key} = {str(value).replace('%', '%%')}\n" for key, value in values.items())
    return f"[{name}]\n" + "".join(lines)
