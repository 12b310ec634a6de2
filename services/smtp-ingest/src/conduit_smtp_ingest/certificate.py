"""The server's certificate, loaded again when its files change."""

import asyncio
import logging
import ssl
from pathlib import Path

from conduit.errors import SettingsError
from conduit.security.certificates import ensure_self_signed
from conduit_smtp_ingest.settings import IngestSettings

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between looks at the files


class Certificate:
    """A certificate chain and its key. `context` is for the next handshake.

    Whoever renews a certificate replaces its files one after the other, so a pair that does not
    match is left alone until it does; sessions that have begun keep what they have.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self._seen = self._state()
        self.context = self._load()

    async def watch(self) -> None:
        """Follow changes of the files until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            if (state := self._state()) != self._seen:
                self._seen = state
                self._reload()

    def _reload(self) -> None:
        try:
            self.context = self._load()
        except SettingsError as error:
            log.error("certificate.not_reloaded", extra={"error": str(error)})
        else:
            log.info("certificate.reloaded", extra={"file": str(self._files[0])})

    def _state(self) -> tuple[object, ...]:
        """What tells that a file has changed, be it by a symbolic link that leads elsewhere."""
        try:
            stats = [file.stat() for file in self._files]
        except OSError as error:
            return (str(error),)
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _load(self) -> ssl.SSLContext:
        chain, key = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Given a password, OpenSSL asks nobody at the terminal for that of an encrypted key.
            context.load_cert_chain(chain, key, password="")
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"the certificate {chain} cannot be used: {error}") from error
        return context


def load_certificate(settings: IngestSettings) -> Certificate | None:
    """Return the configured certificate, or None when there is none; raise SettingsError."""
    chain, key = settings.smtp_tls_certificate, settings.smtp_tls_key
    if chain is None or key is None:
        return None
    if settings.smtp_tls_self_signed:
        try:
            ensure_self_signed(chain, key, settings.smtp_hostname)
        except OSError as error:
            raise SettingsError(f"the certificate {chain} cannot be used: {error}") from error
    return Certificate(chain, key)
