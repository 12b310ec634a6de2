"""Checks a call's signatures as a receiver would: standard library only, nothing of Conduit.

Two schemes stand side by side on each call:

- `X-Conduit-Signature: sha256=<hex>`, HMAC-SHA256 of the body with the whole secret as key;
- Standard Webhooks: `webhook-signature: v1,<base64>` (several, separated by spaces, while a secret
  is being rotated), HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`, the key being what is
  base64-encoded after `whsec_`.
"""

import base64
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"


def conduit_is_valid(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether X-Conduit-Signature is right."""
    expected = "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()
    return hmac.compare_digest(expected, headers.get("X-Conduit-Signature", ""))


def standard_is_valid(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures of Standard Webhooks is right."""
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
    digest = base64.b64encode(hmac.digest(standard_key(secret), signed, "sha256")).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{digest}", signature) for signature in given)


def standard_key(secret: str) -> bytes:
    """Return the key of Standard Webhooks: a secret without the usual prefix is taken as it is."""
    if secret.startswith(_PREFIX):
        return base64.b64decode(secret.removeprefix(_PREFIX))
    return secret.encode()
