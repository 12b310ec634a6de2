"""A mail as its signatures see it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from conduit.mail.authentication.canonical import (
    BodyHash,
    canonical_body,
    canonical_field,
    hash_body,
)
from conduit.mail.authentication.keys import Hash, Key
from conduit.mail.authentication.signature import Coverage, Signer
from conduit.mail.authentication.tag_list import without_signature
from conduit.mail.fields import read_section

Check = Callable[[], None]
"""Called between two pieces of work; raises TimeoutError when there is no time left."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of a mail, the place of its field, and its key."""

    place: int
    signer: Signer
    coverage: Coverage
    key: Key


class SignedMail:
    """The header fields, by their places from the top, and the body.

    `problem` says why the header section is not one that can be signed, None for most mails.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        section = read_section(raw, 0, len(raw))
        self.fields = section.fields
        self.problem = section.problem
        self._start = section.body
        self._places: dict[bytes, list[int]] | None = None
        self._canonical: dict[tuple[int, bool], bytes] = {}

    @property
    def size(self) -> int:
        """Octets in all."""
        return len(self._raw)

    def places(self, name: bytes) -> list[int]:
        """Return where the fields of a name (in lower case) are, from the top."""
        if self._places is None:
            self._places = {}
            for place, (field, _) in enumerate(self.fields):
                self._places.setdefault(field.lower(), []).append(place)
        return self._places.get(name, [])

    def canonical(self, place: int, *, relaxed: bool) -> bytes:
        """Return a field in its canonical form with its CRLF."""
        key = (place, relaxed)
        if key not in self._canonical:
            self._canonical[key] = canonical_field(self.fields[place], relaxed=relaxed) + b"\r\n"
        return self._canonical[key]

    def unsigned(self, place: int, *, relaxed: bool) -> bytes:
        """Return the field of a signature as it is signed: without the signature, nor a CRLF."""
        name, value = self.fields[place]
        return canonical_field((name, without_signature(value)), relaxed=relaxed)

    def header_hash(self, place: int, coverage: Coverage) -> Hash:
        """Return the hash that the signature at a place is of (RFC 6376 §3.7, §5.4.2).

        Of several fields of one name the last one is signed first. The signature itself is not
        among them: it was not there when the fields were chosen.
        """
        digest = sha256()
        left: dict[bytes, list[int]] = {}
        for name in coverage.fields:
            if name not in left:
                left[name] = [other for other in self.places(name) if other != place]
            if left[name]:
                last = left[name].pop()
                digest.update(self.canonical(last, relaxed=coverage.relaxed_header))
        digest.update(self.unsigned(place, relaxed=coverage.relaxed_header))
        return digest

    def body_hash(self, *, relaxed: bool, lengths: Iterable[int], check: Check) -> BodyHash:
        """Hash the body in one of its forms, and its beginnings of these lengths."""

        def pieces() -> Iterable[bytes]:
            for piece in canonical_body(self._raw, self._start, relaxed=relaxed):
                check()
                yield piece

        return hash_body(pieces(), lengths)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying came to: `problem` is None where the signature holds.

    `beyond` counts the octets of the body that `l=` leaves unsigned.
    """

    problem: str | None
    beyond: int = 0


def verify(mail: SignedMail, signatures: Iterable[Signed], check: Check) -> list[Verdict]:
    """Verify signatures; the body is hashed once for each form that one with a good header has."""
    signatures = list(signatures)
    bodies: dict[bool, BodyHash] = {}
    holding = [_header_holds(mail, each, check) for each in signatures]
    coverages = [each.coverage for each, holds in zip(signatures, holding, strict=True) if holds]
    for relaxed in {each.relaxed_body for each in coverages}:
        lengths = [
            each.length
            for each in coverages
            if each.relaxed_body is relaxed and each.length is not None
        ]
        bodies[relaxed] = mail.body_hash(relaxed=relaxed, lengths=lengths, check=check)
    return [
        _body_verdict(each.coverage, bodies[each.coverage.relaxed_body])
        if holds
        else Verdict("the signature is not that of the header, which may have been changed")
        for each, holds in zip(signatures, holding, strict=True)
    ]


def _header_holds(mail: SignedMail, signed: Signed, check: Check) -> bool:
    check()
    digest = mail.header_hash(signed.place, signed.coverage)
    return signed.key.verifies(signed.signer.octets, digest)


def _body_verdict(coverage: Coverage, body: BodyHash) -> Verdict:
    length = body.length if coverage.length is None else coverage.length
    if length > body.length:
        return Verdict("the body is shorter than what was signed (l=)")
    digest = body.digest if length == body.length else body.beginnings[length]
    if digest != coverage.body_hash:
        return Verdict("the body is not the one that was signed")
    return Verdict(None, body.length - length)
