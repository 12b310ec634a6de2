"""Run the SMTP ingest: `python -m conduit_smtp_ingest`."""

import sys

from conduit.service import run
from conduit.settings import load_or_exit
from conduit_smtp_ingest.app import compose
from conduit_smtp_ingest.processes import run_processes
from conduit_smtp_ingest.settings import IngestSettings


def main() -> int:
    """Run one process, or as many as the settings say; return the exit code."""
    settings = load_or_exit(IngestSettings)
    if settings.smtp_processes == 1:
        return run("smtp-ingest", compose, settings)
    return run_processes(settings)


if __name__ == "__main__":
    sys.exit(main())
