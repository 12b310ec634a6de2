"""Start the verifier: `python -m conduit_verifier`."""

from conduit.service import run
from conduit.settings import load_or_exit
from conduit_verifier.app import compose
from conduit_verifier.settings import VerifierSettings

if __name__ == "__main__":
    raise SystemExit(run("verifier", compose, load_or_exit(VerifierSettings)))
