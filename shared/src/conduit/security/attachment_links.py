"""Links to attachments of kept mails: whoever has one may fetch that attachment, until it expires.

A link names the webhook, the mail, the attachment by its position, and its last moment, and is
signed over all of these. The key is derived from those for secrets at rest (HKDF, RFC 5869), so
that no signature ever tells anything about what they encrypt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from hmac import digest as hmac_digest

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretBytes

PATH = "/attachments/{webhook_id}/{message_id}/{index}"
"""Where the API serves them."""

_LABEL = b"conduit attachment links v1"


@dataclass(frozen=True, slots=True)
class AttachmentLink:
    """What a link is good for. `index` counts from 0, `expires` is in seconds since the epoch."""

    webhook_id: str
    message_id: str
    index: int
    expires: int

    def octets(self) -> bytes:
        """Return what is signed; no field can have a NUL, so that no two links have the same."""
        fields = (self.webhook_id, self.message_id, str(self.index), str(self.expires))
        return "\0".join(fields).encode()


class AttachmentLinks:
    """Makes links and knows its own. The first key signs, all verify."""

    def __init__(self, keys: Mapping[str, SecretBytes], public_url: str) -> None:
        self._keys = [_derived(key.get_secret_value()) for key in keys.values()]
        self._public_url = public_url.rstrip("/")

    def url(self, link: AttachmentLink) -> str:
        """Return the URL of an attachment."""
        path = PATH.format(webhook_id=link.webhook_id, message_id=link.message_id, index=link.index)
        signature = _signature(self._keys[0], link)
        return f"{self._public_url}{path}?expires={link.expires}&signature={signature}"

    def is_signed(self, link: AttachmentLink, signature: str) -> bool:
        """Whether the signature is ours; in the same time for all that are not."""
        given = signature.encode(errors="surrogatepass")
        signed = [compare_digest(_signature(key, link).encode(), given) for key in self._keys]
        return any(signed)


def _derived(key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_LABEL).derive(key)


def _signature(key: bytes, link: AttachmentLink) -> str:
    return hmac_digest(key, link.octets(), "sha256").hex()
