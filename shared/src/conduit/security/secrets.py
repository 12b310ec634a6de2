"""Secrets at rest: AES-256-GCM, with the id of the key in the text, so that keys can be rotated.

A sealed secret is bound to a context, such as the id of its webhook: copied to another document
it does not open.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretBytes

from conduit.errors import ConduitError
from conduit.model.webhook import Sealed

_NONCE = 12  # octets, NIST SP 800-38D §5.2.1.1


class UnsealError(ConduitError):
    """A sealed secret does not open: its key is not configured, or it was tampered with."""


class SecretBox:
    """Seals and opens secrets. The first key seals, all open."""

    def __init__(self, keys: Mapping[str, SecretBytes]) -> None:
        self._ciphers = {name: AESGCM(key.get_secret_value()) for name, key in keys.items()}
        self._current = next(iter(self._ciphers))

    def seal(self, secret: str, context: str) -> Sealed:
        """Return `key id.base64(nonce, ciphertext, tag)`."""
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self._current]
        sealed = nonce + cipher.encrypt(nonce, secret.encode(), context.encode())
        return Sealed(f"{self._current}.{urlsafe_b64encode(sealed).decode()}")

    def open(self, sealed: Sealed, context: str) -> str:
        """Return the secret, or raise UnsealError."""
        name, _, encoded = sealed.partition(".")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise UnsealError(f"no encryption key has the id {name!r}")
        octets = urlsafe_b64decode(encoded)
        try:
            return cipher.decrypt(octets[:_NONCE], octets[_NONCE:], context.encode()).decode()
        except InvalidTag:
            raise UnsealError("a secret does not belong to this record, or was altered") from None
