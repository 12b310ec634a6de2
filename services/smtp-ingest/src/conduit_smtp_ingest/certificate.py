"""The server's certificate for STARTTLS."""

import ssl

from conduit.errors import SettingsError
from conduit.security.certificates import ensure_self_signed
from conduit_smtp_ingest.settings import IngestSettings


def tls_context(settings: IngestSettings) -> ssl.SSLContext | None:
    """Return the context of the configured certificate, or None when there is none."""
    certificate, key = settings.smtp_tls_certificate, settings.smtp_tls_key
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if settings.smtp_tls_self_signed:
            ensure_self_signed(certificate, key, settings.smtp_hostname)
        # Given a password, OpenSSL asks nobody at the terminal for that of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the certificate {certificate} cannot be used: {error}") from error
    return context
