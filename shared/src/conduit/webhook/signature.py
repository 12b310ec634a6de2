"""Signatures of webhook calls: Standard Webhooks, and a plain HMAC of the body beside it.

Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, base64, prefixed
with `v1,`; several, separated by spaces, while a rotated secret is still valid.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix is public)


def sign(body: bytes, secrets: Sequence[str], message_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers that sign `body`, the newest secret first. `timestamp` is Unix time."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_standard(content, secret) for secret in secrets),
        "X-Conduit-Signature": f"sha256={_plain(body, secrets[0])}",
    }


def _standard(content: bytes, secret: str) -> str:
    digest = hmac.digest(signing_key(secret), content, "sha256")
    return f"v1,{b64encode(digest).decode()}"


def _plain(body: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


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
