"""Renewed certificates, and which one a server shows."""

import ssl
from pathlib import Path

from conduit.security.certificates import ensure_self_signed
from conduit_local.ports import LOOPBACK


def renewed(certificate: Path, key: Path) -> tuple[Path, Path]:
    """Make another pair beside these files, to be put in their place; return its files."""
    others = certificate.with_name("renewed.pem"), key.with_name("renewed-key.pem")
    ensure_self_signed(*others, "renewed.example")
    return others


def renew(certificate: Path, key: Path) -> None:
    """Replace both files, one after the other, as whoever renews a certificate does."""
    new_certificate, new_key = renewed(certificate, key)
    new_certificate.replace(certificate)
    new_key.replace(key)


def shown(port: int) -> str:
    """Return the certificate of the next handshake (PEM)."""
    return ssl.get_server_certificate((LOOPBACK, port), timeout=10)
