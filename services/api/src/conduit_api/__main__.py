"""Start the API service: `python -m conduit_api`."""

from conduit.service import run
from conduit.settings import load_or_exit
from conduit_api.app import compose
from conduit_api.settings import ApiSettings

if __name__ == "__main__":
    raise SystemExit(run("api", compose, load_or_exit(ApiSettings)))
