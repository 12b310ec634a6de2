"""The server's certificate."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from conduit.errors import SettingsError
from conduit_smtp_ingest.certificate import load_certificate
from conduit_smtp_ingest.settings import IngestSettings


def settings(certificate: Path, key: Path, *, self_signed: bool) -> IngestSettings:
    return IngestSettings(
        smtp_tls_certificate=certificate, smtp_tls_key=key, smtp_tls_self_signed=self_signed
    )


def test_none_is_needed() -> None:
    assert load_certificate(IngestSettings()) is None


def test_one_is_made_once_where_none_is(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls" / "certificate.pem", tmp_path / "tls" / "key.pem"
    loaded = load_certificate(settings(certificate, key, self_signed=True))
    assert loaded is not None
    assert loaded.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert key.stat().st_mode & 0o077 == 0
    made = certificate.read_bytes()
    assert load_certificate(settings(certificate, key, self_signed=True)) is not None
    assert certificate.read_bytes() == made


@pytest.mark.parametrize("content", [None, b"", b"nothing", b"\xff\x00"])
def test_one_that_cannot_be_used_is_told(tmp_path: Path, content: bytes | None) -> None:
    certificate = tmp_path / "certificate.pem"
    if content is not None:
        certificate.write_bytes(content)
    with pytest.raises(SettingsError, match=f"the certificate {certificate} cannot be used"):
        load_certificate(settings(certificate, certificate, self_signed=False))


def test_a_place_where_none_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    certificate = tmp_path / "file" / "certificate.pem"
    with pytest.raises(SettingsError, match="cannot be used"):
        load_certificate(settings(certificate, certificate.with_name("key.pem"), self_signed=True))


def test_an_encrypted_key_is_told_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    load_certificate(settings(certificate, key, self_signed=True))
    encrypted = tmp_path / "encrypted.pem"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(SettingsError, match="cannot be used"):
        load_certificate(settings(certificate, encrypted, self_signed=False))
