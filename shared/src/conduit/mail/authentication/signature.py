"""What a signature says of itself: who made it, and what of the mail it covers.

DKIM's (RFC 6376 §3.5) and both of ARC's (RFC 8617 §4.1) are read here; each adds its own rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from conduit.mail.address import AddressError, ascii_domain
from conduit.mail.authentication.keys import octets_of
from conduit.mail.authentication.tag_list import FWS

MAX_FIELDS = 1_000  # that `h=` lists

_MAX_NAME = 253  # octets of a name in DNS
_ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}

_name = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_algorithm = re.compile(r"[a-z0-9-]{1,40}")
_field_name = re.compile(r"[!-9;-~]+")
_number = re.compile(r"[0-9]{1,20}")


class SignatureProblem(ValueError):
    """The signature cannot be verified, now or later; the text says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed: `domain` and `selector` in lower-case A-labels; `octets` are the signature's."""

    domain: str
    selector: str
    algorithm: str
    octets: bytes

    @property
    def kind(self) -> str:
        """The kind of key that made it."""
        return _ALGORITHMS[self.algorithm]

    @property
    def key_name(self) -> str:
        """Where the key is."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is signed: these header fields (names in lower case), and the body.

    `length` is `l=`, in octets of the canonical body; `signed_at` and `expires` are Unix times.
    """

    fields: tuple[bytes, ...]
    relaxed_header: bool
    relaxed_body: bool
    body_hash: bytes
    length: int | None
    signed_at: int | None
    expires: int | None


def readable(tags: Mapping[str, str]) -> tuple[str, str, str]:
    """Return domain, selector and algorithm of any signature, empty where they are unreadable."""
    algorithm = tags.get("a", "").lower()
    return (
        domain_of(tags.get("d", "")) or "",
        domain_of(tags.get("s", "")) or "",
        algorithm if _algorithm.fullmatch(algorithm) else "",
    )


def read_signer(tags: Mapping[str, str]) -> Signer:
    """Read who signed, or raise SignatureProblem."""
    for name, what in (("d", "domain"), ("s", "selector"), ("a", "algorithm"), ("b", "signature")):
        if name not in tags:
            raise SignatureProblem(f"it has no {what} ({name}=)")
    domain, selector, algorithm = readable(tags)
    if not domain or not selector or len(f"{selector}._domainkey.{domain}") > _MAX_NAME:
        raise SignatureProblem("its domain or selector (d=, s=) is not a domain name")
    if algorithm == "rsa-sha1":
        raise SignatureProblem("rsa-sha1 is no longer valid (RFC 8301)")
    if algorithm not in _ALGORITHMS:
        raise SignatureProblem("its algorithm (a=) is unknown")
    octets = octets_of(tags["b"])
    if not octets:
        raise SignatureProblem("its signature (b=) is not in base64")
    return Signer(domain, selector, algorithm, octets)


def read_coverage(tags: Mapping[str, str]) -> Coverage:
    """Read what is signed, or raise SignatureProblem."""
    relaxed_header, relaxed_body = _forms(tags.get("c", "simple/simple").lower())
    body_hash = octets_of(tags.get("bh", ""))
    if not body_hash:
        raise SignatureProblem("it has no hash of the body (bh=) in base64")
    signed_at, expires = _number_of(tags, "t"), _number_of(tags, "x")
    if signed_at is not None and expires is not None and expires < signed_at:
        raise SignatureProblem("it expires (x=) before it was made (t=)")
    return Coverage(
        _fields(tags.get("h", "")),
        relaxed_header,
        relaxed_body,
        body_hash,
        _number_of(tags, "l"),
        signed_at,
        expires,
    )


def domain_of(text: str) -> str | None:
    """Return a domain name in lower-case A-labels (RFC 8616 §4), None when it is none."""
    if len(text) > _MAX_NAME:
        return None
    try:
        name = ascii_domain(text)
    except AddressError:
        return None
    return name if len(name) <= _MAX_NAME and _name.fullmatch(name) else None


def _forms(text: str) -> tuple[bool, bool]:
    header, _, body = text.partition("/")
    forms = (header, body or "simple")
    if not {*forms} <= {"simple", "relaxed"}:
        raise SignatureProblem("its canonicalization (c=) is unknown")
    return forms[0] == "relaxed", forms[1] == "relaxed"


def _fields(text: str) -> tuple[bytes, ...]:
    names = [name.strip(FWS).lower() for name in text.split(":", MAX_FIELDS)]
    if not all(_field_name.fullmatch(name) for name in names):
        raise SignatureProblem("its list of header fields (h=) cannot be read")
    if "from" not in names:
        raise SignatureProblem("it does not cover the From field")  # RFC 6376 §5.4
    return tuple(name.encode() for name in names)


def _number_of(tags: Mapping[str, str], name: str) -> int | None:
    if name not in tags:
        return None
    if not _number.fullmatch(tags[name]):
        raise SignatureProblem(f"{name}= is not a number")
    return int(tags[name])
