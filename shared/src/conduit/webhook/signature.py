"""Signatures of webhook calls: Standard Webhooks, and a plain HMAC of the body beside it.

Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, base64, prefixed
with `v1,`; several, separated by spaces, while a rotated secret is still valid.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix is public)


class Signer:
    """Signs with one secret, which is made ready once: that takes as long as to sign a body."""

    def __init__(self, secret: str) -> None:
        self._standard = hmac.new(signing_key(secret), digestmod="sha256")
        self._plain = hmac.new(secret.encode(), digestmod="sha256")

    def standard(self, head: bytes, body: bytes) -> str:
        """Return the signature of Standard Webhooks; `head` is all that it covers before `body`."""
        mac = self._standard.copy()
        mac.update(head)
        mac.update(body)
        return f"v1,{b64encode(mac.digest()).decode()}"

    def plain(self, body: bytes) -> str:
        """Return the signature of the body alone, in hex."""
        mac = self._plain.copy()
        mac.update(body)
        return mac.hexdigest()


def sign(body: bytes, signers: Sequence[Signer], message_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers that sign `body`, the newest secret first. `timestamp` is Unix time."""
    head = b"%s.%d." % (message_id.encode(), timestamp)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join([signer.standard(head, body) for signer in signers]),
        "X-Conduit-Signature": f"sha256={signers[0].plain(body)}",
    }


def signing_key(secret: str) -> bytes:
    """Return the key of Standard Webhooks: what `whsec_` encodes, or the octets of the secret."""
    if secret.startswith(SECRET_PREFIX):
        try:
            key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except ValueError:  # of characters beyond ASCII, too
            key = b""
        if key:
            return key
    return secret.encode()  # an own one, though it may look like a generated one
