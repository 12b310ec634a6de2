"""Mails signed by dkimpy with keys made here: what the checks of DKIM, ARC and DMARC are fed."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import dkim
import nacl.signing
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Tags = Mapping[str, str | None]
"""Tags to set in a signature, in place of what dkimpy would write; None: leave it out."""

_RSA_512 = (  # no library makes one so small any more
    b"""-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBAM+EW6g0WSr3+ZMRfgzYpQLoFripPLPzchVh1JFuOW7jSIRj38Dh
T8bqIQVpobfgiqGMA/DvPEmrTf03b1Q9mUECAwEAAQJAeAniUzxk0Bw9fDtEJP41
BadnbU5IVPff6Ep9Ads20dMQbPINtbx95wXkpVDqUpJSPgPtcTx5RuFkrjsicnaU
OQIhAPXH9Alew9hVnbDPO1BMAW0PBmT/bNeMm5l8jq8IevhLAiEA2CUhLQzybSsE
NlTox6Bgk0yMRPJ+7r5rv8u9C6x+lSMCIFzj6l6UO06K5SNK3y702uEd+Zu4UamR
kclLox2SBe/LAiB/IV+hEtNoWHvSxSBhgjgri0OZrhPwsrnHhrs7qYqOhwIhAMUO
6lXWjFxdpliyYO5CRgFuHOWwwFjTxWtVTJtsVk2t
-----END RSA PRIVATE KEY-----
""",
    (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAM+EW6g0WSr3+ZMRfgzYpQLoFripPLPz"
        "chVh1JFuOW7jSIRj38DhT8bqIQVpobfgiqGMA/DvPEmrTf03b1Q9mUECAwEAAQ=="
    ),
)


@dataclass(frozen=True)
class SigningKey:
    """A private key, and where its public half is published.

    The same arguments give the same RSA key within a run: making one takes a tenth of a second.
    """

    domain: str
    selector: str
    kind: str
    private: bytes
    public: str

    @classmethod
    def rsa(cls, bits: int = 2048, *, selector: str = "s1", domain: str = "example.com") -> Self:
        """Return an RSA key of 512 bits, or of any size from 1024 on."""
        private, public = _RSA_512 if bits == 512 else _rsa_pair(bits, selector, domain)
        return cls(domain, selector, "rsa", private, public)

    @classmethod
    def ed25519(cls, *, selector: str = "ed", domain: str = "example.com") -> Self:
        """Return a new ed25519 key."""
        seed = nacl.signing.SigningKey.generate()
        public = base64.b64encode(bytes(seed.verify_key)).decode()
        return cls(domain, selector, "ed25519", base64.b64encode(bytes(seed)), public)

    @property
    def name(self) -> str:
        """Where the public key is published."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> tuple[str, str]:
        """The name and the text of the TXT record."""
        return self.name, self.text()

    def text(self, **tags: str) -> str:
        """Return the text of the TXT record with further tags, such as `t="s"`."""
        fields = {"v": "DKIM1", "k": self.kind, "p": self.public, **tags}
        return "; ".join(f"{name}={value}" for name, value in fields.items())

    def sign(
        self,
        raw: bytes,
        *,
        canonicalize: str = "relaxed/simple",
        headers: Sequence[str] | None = None,
        length: bool = False,
        algorithm: str | None = None,
        tags: Tags | None = None,
    ) -> bytes:
        """Return the mail with a DKIM-Signature before it.

        `headers`: the names for `h=`; by default what dkimpy takes, From twice.
        `length`: with `l=`, over the whole body. `tags` are set before the signature is made.
        """
        signer = self._signer(dkim.DKIM, raw, algorithm)
        _adapt(signer, headers, tags or {})
        header, body = (part.encode() for part in canonicalize.split("/"))
        field = signer.sign(
            self.selector.encode(),
            self.domain.encode(),
            self.private,
            canonicalize=(header, body),
            include_headers=None if headers is None else [b"from"],
            length=length,
        )
        return bytes(field) + raw

    def seal(
        self,
        raw: bytes,
        *,
        chain: str | None = None,
        headers: Sequence[str] = ("from", "to", "subject"),
        message_tags: Tags | None = None,
        seal_tags: Tags | None = None,
    ) -> bytes:
        """Return the mail with the next ARC set before it; `chain` is its `cv=`.

        By default the first set says none, and the others say pass.
        """
        instance = str(len(re.findall(rb"(?mi)^arc-seal:", raw)) + 1)
        results = b"ARC-Authentication-Results: i=%s; example.org; none\r\n" % instance.encode()
        verdict = chain or ("none" if instance == "1" else "pass")
        common = {"i": instance, "a": self._algorithm(), "d": self.domain, "s": self.selector}
        message = self._arc_field(
            b"ARC-Message-Signature",
            raw,
            {**common, "c": "relaxed/relaxed", "h": " : ".join(headers), **(message_tags or {})},
            [name.encode() for name in headers],
        )
        sealed = message + results + raw
        fields = dkim.ARC(sealed).sorted_arc_headers()[1]
        seal = self._arc_field(
            b"ARC-Seal",
            sealed,
            {**common, "cv": verdict, **(seal_tags or {})},
            [name.lower() for _, (name, _) in reversed(fields)],
        )
        return seal + sealed

    def _arc_field(self, name: bytes, raw: bytes, tags: Tags, include: Sequence[bytes]) -> bytes:
        """Return a field that is signed in the relaxed way."""
        signer = self._signer(dkim.ARC, raw, None)
        signer.hasher = dkim.HASH_ALGORITHMS[self._algorithm().encode()]
        policy = dkim.CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
        fields = {key: value for key, value in tags.items() if value is not None}
        if name != b"ARC-Seal":
            body = policy.canonicalize_body(signer.body)
            fields = {"bh": base64.b64encode(signer.hasher(body).digest()).decode(), **fields}
        pairs = [(key.encode(), value.encode()) for key, value in fields.items()]
        pairs.append((b"b", b"0" * 60))
        private = self._private_key()
        return bytes(name + b": " + signer.gen_header(pairs, include, policy, name, private))

    def _signer(self, kind: Any, raw: bytes, algorithm: str | None) -> Any:
        signer = kind(raw, signature_algorithm=(algorithm or self._algorithm()).encode())
        signer.should_not_sign = set()
        return signer

    def _private_key(self) -> Any:
        if self.kind == "rsa":
            return dkim.parse_pem_private_key(self.private)
        return nacl.signing.SigningKey(base64.b64decode(self.private))

    def _algorithm(self) -> str:
        return f"{self.kind}-sha256"


def _adapt(signer: Any, headers: Sequence[str] | None, tags: Tags) -> None:
    """Let dkimpy sign these fields and write these tags, also where that makes no sense."""
    sign = signer.gen_header

    def gen_header(fields: Any, include: Any, *others: Any, **options: Any) -> Any:
        wanted = {name: value for name, value in fields if name != b"b"}
        if headers is not None:
            include = [name.lower().encode() for name in headers]
            wanted[b"h"] = b" : ".join(include)  # spaces, so that dkimpy folds between names
        for name, value in tags.items():
            wanted.pop(name.encode(), None)
            if value is not None:
                wanted[name.encode()] = value.encode()
        return sign([*wanted.items(), (b"b", b"0" * 60)], include, *others, **options)

    signer.gen_header = gen_header


@cache
def _rsa_pair(bits: int, selector: str, domain: str) -> tuple[bytes, str]:
    """Return the private key as dkimpy takes it, and the public one for `p=`."""
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()
