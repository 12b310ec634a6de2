"""A stack: broker, store and services under one supervisor, in one data directory."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from conduit_local import plan as plans
from conduit_local import processes, programs
from conduit_local.errors import AlreadyRunning, NotReady, NotRunning
from conduit_local.plan import Plan
from conduit_local.ports import check_free
from conduit_local.programs import Program
from conduit_local.supervision import Supervisor
from conduit_local.urls import Urls

READY_SECONDS = 30.0
_INTERVAL = 0.05
_STATE_INTERVAL = 0.5
_STOP_SLACK = 10
LEFTOVER_GRACE = 10
_LOG_LINES = 15


class Stack:
    """One stack. `with` starts it, waits until it is ready, and stops it.

    A tethered stack ends when the process that started it does, however that ends.
    """

    def __init__(self, plan: Plan, *, tethered: bool = True) -> None:
        self.plan = plan
        self.data_dir = plan.data_dir
        self.urls = Urls.of(plan)
        self._tethered = tethered
        self._supervisor = Supervisor(plan.data_dir)
        self._programs = {program.name: program for program in plan.built()}

    @classmethod
    def isolated(
        cls,
        data_dir: Path,
        selected: Sequence[str] = programs.ALL,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a stack on free ports that shares nothing with others; not started yet."""
        return cls(plans.isolated(data_dir, selected, settings))

    @classmethod
    def running(cls, data_dir: Path) -> Self:
        """Return the stack that runs in this data directory, or raise NotRunning."""
        stack = cls(plans.load(data_dir.resolve()), tethered=False)
        if not stack.is_running():
            raise NotRunning(f"no stack is running in {data_dir}")
        return stack

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def is_running(self) -> bool:
        """Whether the supervisor runs."""
        return self._supervisor.answers()

    def start(self) -> None:
        """Start all programs, not waiting until they are ready; end what a crashed stack left."""
        with self._lock():
            if self.is_running():
                raise AlreadyRunning(f"a stack is already running in {self.data_dir}")
            processes.end(self.data_dir, LEFTOVER_GRACE)
            check_free(self.plan.ports, self.plan.needed_ports())
            self.plan.prepare()
            self.plan.save()
            tether = (_tether(),) if self._tethered else ()
            self._supervisor.start((*tether, *self._programs.values()), self.plan.environment)

    def wait_ready(
        self, timeout: float = READY_SECONDS, selected: Sequence[str] | None = None
    ) -> None:
        """Wait until the selected programs (default: all) are ready, or raise NotReady."""
        waiting = list(self._programs if selected is None else selected)
        deadline = time.monotonic() + timeout
        next_look = time.monotonic() + _STATE_INTERVAL
        while waiting := [name for name in waiting if self.missing(name)]:
            if time.monotonic() > deadline:
                raise NotReady(self._complaint(waiting[0], f"not ready after {timeout:g} s"))
            if time.monotonic() > next_look:
                self._check_states(waiting)
                next_look = time.monotonic() + _STATE_INTERVAL
            time.sleep(_INTERVAL)

    def missing(self, program: str) -> str | None:
        """Return what a program lacks to be ready, None when it is."""
        return self._programs[program].probe()

    def stop(self) -> None:
        """Stop all programs in order, and return when nothing of the stack runs any more."""
        with self._lock():
            self._supervisor.shut_down()
            seconds = sum(program.stop_seconds for program in self._programs.values())
            self._supervisor.wait_until_gone(seconds + _STOP_SLACK)
            processes.end(self.data_dir, LEFTOVER_GRACE)

    def states(self) -> dict[str, str]:
        """Return each program's state in supervisor's words: RUNNING, STARTING, BACKOFF, FATAL …"""
        found = self._supervisor.processes()
        return {name: str(found[name]["statename"]) for name in self._programs}

    def pid(self, program: str) -> int:
        """Return the process id of a program, or raise NotRunning."""
        pid = int(self._supervisor.processes()[program]["pid"])
        if pid == 0:
            raise NotRunning(f"{program} is not running")
        return pid

    def kill(self, program: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a program and its children; return the process id that it had."""
        pid = self.pid(program)
        os.killpg(pid, number)
        return pid

    def start_program(self, program: str) -> None:
        """Start one program that was stopped; returns before it is ready."""
        self._supervisor.start_program(program)

    def stop_program(self, program: str) -> None:
        """Stop one program in order and keep it stopped."""
        self._supervisor.stop_program(program)

    def log(self, program: str) -> Path:
        """Return the file with what a program writes."""
        return self.data_dir / "log" / f"{program}.log"

    def last_lines(self, program: str) -> str:
        """Return the end of a program's log, with its path above."""
        log = self.log(program)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n  ".join((f"last lines of {log}:", *lines[-_LOG_LINES:]))

    def _check_states(self, waiting: Sequence[str]) -> None:
        given_up = self._supervisor.given_up()
        for name in waiting:
            if name in given_up:
                raise NotReady(self._complaint(name, "ended and was given up"))

    def _complaint(self, program: str, what: str) -> str:
        return f"{program}: {what}: {self.missing(program)}\n{self.last_lines(program)}"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.data_dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _tether() -> Program:
    return Program(
        name="tether",
        command=(sys.executable, "-m", "conduit_local.tether", str(os.getpid())),
        priority=1,
        stop_seconds=5,
        probe=lambda: None,
    )
