"""The secrets of webhooks, opened for the calls that need them."""

from functools import lru_cache, partial

from conduit.model.webhook import Sealed
from conduit.security.secrets import SecretBox
from conduit.webhook.signature import Signer

KEPT = 1_000
"""Secrets of each kind that stay open; one of them takes some KB at most."""


class Opened:
    """Opens secrets, and keeps those open that were needed last.

    They stay in the memory of this process, which opens them anyway. One is known by its sealed
    text and by its webhook: what a rotation has replaced is not found in its place, and what was
    copied to another webhook's record is opened for that one, and fails.
    """

    def __init__(self, box: SecretBox) -> None:
        self._text = lru_cache(maxsize=KEPT)(box.open)
        self._signer = lru_cache(maxsize=KEPT)(partial(_signer, box))

    def text(self, sealed: Sealed, webhook_id: str) -> str:
        """Return a secret, or raise UnsealError."""
        return self._text(sealed, webhook_id)

    def signer(self, sealed: Sealed, webhook_id: str) -> Signer:
        """Return what signs with a secret, or raise UnsealError."""
        return self._signer(sealed, webhook_id)


def _signer(box: SecretBox, sealed: Sealed, webhook_id: str) -> Signer:
    return Signer(box.open(sealed, webhook_id))
