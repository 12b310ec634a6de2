"""A mail of an exact size that SPF and DKIM pass for, and the DNS records that they pass by."""

import base64
import random
from collections.abc import Iterator

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.dns import DnsServer

DOMAIN = "sender.example"
SENDER = f"load@{DOMAIN}"
HELO = f"mx.{DOMAIN}"
_SELECTOR = "load"
_SIGNED = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "returns")
_LINE = 72
_TTL = 3600


class Signer:
    """Signs for DOMAIN with an RSA key of 2,048 bits, as most senders have."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def publish(self, dns: DnsServer) -> None:
        """Give DOMAIN a key, and an SPF record that passes on loopback."""
        key = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        record = f"v=DKIM1; k=rsa; p={base64.b64encode(key).decode()}"
        quoted = f'"{record[:250]}" "{record[250:]}"'
        dns.set(f"{_SELECTOR}._domainkey.{DOMAIN}", "TXT", quoted, ttl=_TTL)
        for name in (DOMAIN, HELO):
            dns.set(name, "TXT", '"v=spf1 ip4:127.0.0.1 -all"', ttl=_TTL)
        dns.set(f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=reject"', ttl=_TTL)

    def mail(self, size: int) -> bytes:
        """Return a signed mail of this many octets, its lines ended by CRLF."""
        header = _header()
        room = size - len(header) - len(self._signature(header + b"x\r\n"))
        mail = header + b"".join(_lines(room))
        signed = self._signature(mail) + mail
        assert len(signed) == size, f"{len(signed)} octets instead of {size}"
        return signed

    def _signature(self, mail: bytes) -> bytes:
        key = self._key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        signature: bytes = dkim.sign(
            mail,
            _SELECTOR.encode(),
            DOMAIN.encode(),
            key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name.encode() for name in _SIGNED],
        )
        return signature


def _header() -> bytes:
    fields = (
        f"From: Load <{SENDER}>",
        "To: webhook@incoming.localhost",
        "Subject: A mail as it comes",
        "Date: Mon, 02 Nov 2026 10:00:00 +0000",
        f"Message-ID: <1@{DOMAIN}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "",
    )
    return "\r\n".join(fields).encode()


def _lines(size: int) -> Iterator[bytes]:
    """Yield lines of words, so many octets in all with their ends."""
    words = random.Random(1)
    while size > 2 * _LINE:
        line = b""
        while len(line) < _LINE - 10:
            line += words.choice(_WORDS).encode() + b" "
        yield line.rstrip() + b".\r\n"
        size -= len(line.rstrip()) + 3
    yield b"x" * (size - 2) + b"\r\n"
