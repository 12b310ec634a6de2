"""The ingest for a benchmark, under a profiler if that is wanted."""

import pstats
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.smtp import Ingest

_SHOWN = 40


@contextmanager
def ingest(
    name: str, directory: Path, settings: Mapping[str, str], profile: Path | None
) -> Iterator[Ingest]:
    """Run an ingest until the end of the block; its profile goes to the file `profile`.`name`."""
    if profile is None:
        with Ingest(directory, settings) as plain:
            yield plain
        return
    file = profile.with_name(f"{profile.name}.{name}").resolve()
    with _Profiled(directory, settings, file) as profiled:
        yield profiled
        profiled.signal(signal.SIGTERM)
        profiled.exit_code()
    print(f"\nprofile of {name} ({file}): seconds of each function alone, then with what it called")
    pstats.Stats(str(file)).sort_stats("tottime").print_stats(_SHOWN)


class _Profiled(Ingest):
    """An ingest under cProfile, which makes it about half as fast."""

    def __init__(self, directory: Path, settings: Mapping[str, str], file: Path) -> None:
        super().__init__(directory, settings)
        self._file = file

    def start(self) -> None:
        """Start it; returns before it is ready."""
        command = ["-m", "cProfile", "-o", str(self._file), "-m", "conduit_smtp_ingest"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
