"""The server's certificate."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from conduit.errors import SettingsError
from conduit.security.certificates import ensure_self_signed
from conduit_smtp_ingest import certificate as certificate_module
from conduit_smtp_ingest.certificate import Certificate, load_certificate
from conduit_smtp_ingest.settings import IngestSettings
from tests.support.certificates import renew, renewed
from tests.support.polling import eventually


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


@pytest.fixture
async def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Certificate, Path, Path]]:
    """A certificate whose files are looked at all the time."""
    monkeypatch.setattr(certificate_module, "_LOOK", 0.001)
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    ensure_self_signed(*files, "mx.example")
    certificate = Certificate(*files)
    watching = asyncio.create_task(certificate.watch())
    yield certificate, *files
    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])


async def test_replaced_files_are_loaded_for_the_next_handshake(
    watched: tuple[Certificate, Path, Path],
) -> None:
    certificate, *files = watched
    before = certificate.context
    renew(*files)
    await eventually(lambda: certificate.context is not before, what="the reload")
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_link_that_leads_elsewhere_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Kubernetes mounts secrets: the files are links through one that is replaced.
    monkeypatch.setattr(certificate_module, "_LOOK", 0.001)
    for name in ("first", "second"):
        ensure_self_signed(tmp_path / name / "tls.crt", tmp_path / name / "tls.key", "mx.example")
    current = tmp_path / "current"
    current.symlink_to("first")
    certificate = Certificate(current / "tls.crt", current / "tls.key")
    before, watching = certificate.context, asyncio.create_task(certificate.watch())
    other = tmp_path / "other"
    other.symlink_to("second")
    other.replace(current)
    await eventually(lambda: certificate.context is not before, what="the reload")
    watching.cancel()
    await asyncio.wait([watching])


@pytest.mark.parametrize("trouble", ["mismatch", "gone", "garbage"])
async def test_files_that_cannot_be_used_change_nothing_until_they_can(
    watched: tuple[Certificate, Path, Path], trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, chain, key = watched
    before = certificate.context
    new_chain, new_key = renewed(chain, key)
    if trouble == "mismatch":
        new_chain.replace(chain)
    elif trouble == "gone":
        chain.unlink()
    else:
        chain.write_bytes(b"nothing")
    await eventually(lambda: "certificate.not_reloaded" in caplog.messages, what="a complaint")
    assert certificate.context is before
    if trouble != "mismatch":
        new_chain.replace(chain)
    new_key.replace(key)
    await eventually(lambda: certificate.context is not before, what="the reload")
