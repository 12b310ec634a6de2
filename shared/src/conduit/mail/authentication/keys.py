"""Public keys as DNS has them (RFC 6376 §3.6.1, RFC 8301, RFC 8463)."""

import asyncio
import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from dkim.crypto import EMSA_PKCS1_v1_5_encode, UnparsableKeyError, parse_public_key
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from conduit.errors import TemporaryDnsFailure
from conduit.mail.authentication.dns import Dns
from conduit.mail.authentication.tag_list import FWS, TagListError, read_tags

MIN_RSA_BITS = 1_024  # RFC 8301 §3.2: signatures of smaller keys must not be taken as valid
MAX_RSA_BITS = 4_096  # the largest that verifiers must know; the work grows with the square
_MAX_EXPONENT = 1 << 32  # nearly all use 65,537; the work grows with its length
_MAX_RECORD = 4_096  # octets; the record of the largest RSA key takes 800
_MAX_RSA_OCTETS = 1_024  # of DER, which takes time by the square to read
_AT_ONCE = 8  # look-ups for one mail

_no_white_space = str.maketrans("", "", FWS)


class KeyProblem(ValueError):
    """The key cannot be used; the text says why."""


class Hash(Protocol):
    """What hashlib makes."""

    @property
    def name(self) -> str:
        """The algorithm, such as `sha256`."""
        ...

    def digest(self) -> bytes:
        """Return the hash of what was put in so far."""
        ...


RsaKey = Mapping[str, int]
"""In dkimpy's form: `modulus` and `publicExponent`."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of RSA or ed25519.

    `testing`: flag t=y. `own_domain_only`: flag t=s, the identity may not be in a subdomain.
    """

    kind: str
    public: RsaKey | VerifyKey
    testing: bool = False
    own_domain_only: bool = False

    def verifies(self, signature: bytes, digest: Hash) -> bool:
        """Return whether the signature is that of a hash."""
        if isinstance(self.public, VerifyKey):
            return _verifies_ed25519(self.public, signature, digest.digest())
        return _verifies_rsa(self.public, signature, digest)


Answers = Mapping[str, tuple[bytes, ...] | None]
"""The TXT records at each name; None: DNS gave no answer."""


async def look_up(dns: Dns, names: Iterable[str], deadline: float) -> Answers:
    """Ask for the records of all these names, at most until this moment of the loop's clock."""
    turn = asyncio.Semaphore(_AT_ONCE)
    wanted = list(dict.fromkeys(names))

    async def records(name: str) -> tuple[bytes, ...] | None:
        try:
            async with asyncio.timeout_at(deadline), turn:
                return await dns.txt(name)
        except (TemporaryDnsFailure, TimeoutError):
            return None

    if len(wanted) == 1:
        return {wanted[0]: await records(wanted[0])}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(records(name)) for name in wanted]
    return {name: task.result() for name, task in zip(wanted, tasks, strict=True)}


def key_of(records: tuple[bytes, ...]) -> Key:
    """Return the one key at a name, or raise KeyProblem."""
    if not records:
        raise KeyProblem("there is no key in DNS")
    if len(records) > 1:
        raise KeyProblem("there are several records in place of one key")  # §3.6.2.2
    if len(records[0]) > _MAX_RECORD:
        raise KeyProblem(f"the key's record has more than {_MAX_RECORD} octets")
    return _read_key(records[0])


@lru_cache(maxsize=1_024)  # of at most _MAX_RECORD octets
def _read_key(record: bytes) -> Key:
    tags = _read_record(record)
    flags = _list(tags.get("t", ""))
    kind = tags.get("k", "rsa").lower()
    public = _public_octets(tags)
    return Key(kind, _public_key(kind, public), "y" in flags, "s" in flags)


def _read_record(record: bytes) -> dict[str, str]:
    """Return the tags of a record that is meant for mail and for SHA-256."""
    try:
        tags = read_tags(record)
    except TagListError as error:
        raise KeyProblem(f"the key's record cannot be read: {error}") from error
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise KeyProblem("the key's record is not one of DKIM")
    if "h" in tags and "sha256" not in _list(tags["h"]):
        raise KeyProblem("the key may not be used with SHA-256 (h=)")
    if not {"*", "email"} & set(_list(tags.get("s", "*"))):
        raise KeyProblem("the key is not for mail (s=)")
    return tags


def _public_octets(tags: Mapping[str, str]) -> bytes:
    if "p" not in tags:
        raise KeyProblem("the key's record has no key in it")
    if not tags["p"]:
        raise KeyProblem("the key is revoked")
    octets = octets_of(tags["p"])
    if octets is None:
        raise KeyProblem("the key is not in base64")
    return octets


def octets_of(text: str) -> bytes | None:
    """Return what base64 with white space in it stands for, None when it is none."""
    try:
        return base64.b64decode(text.translate(_no_white_space), validate=True)
    except (binascii.Error, ValueError):
        return None


def _public_key(kind: str, octets: bytes) -> RsaKey | VerifyKey:
    match kind:
        case "rsa":
            return _rsa_key(octets)
        case "ed25519" if len(octets) == 32:
            return VerifyKey(octets)
        case "ed25519":
            raise KeyProblem("the key is not an ed25519 key of 32 octets")
        case _:
            raise KeyProblem("the kind of the key (k=) is unknown")


def _rsa_key(octets: bytes) -> RsaKey:
    if len(octets) > _MAX_RSA_OCTETS:
        raise KeyProblem(f"an RSA key of more than {MAX_RSA_BITS} bits is not taken")
    try:
        key: RsaKey = parse_public_key(octets)
    except (UnparsableKeyError, AssertionError) as error:  # asserted: the length of a NULL
        raise KeyProblem("the key is not an RSA key") from error
    bits = key["modulus"].bit_length()
    if bits < MIN_RSA_BITS:
        raise KeyProblem(f"an RSA key of {bits} bits is too small (RFC 8301)")
    if bits > MAX_RSA_BITS or not 3 <= key["publicExponent"] < _MAX_EXPONENT:
        raise KeyProblem(f"an RSA key of more than {MAX_RSA_BITS} bits is not taken")
    return key


def _verifies_rsa(key: RsaKey, signature: bytes, digest: Hash) -> bool:
    """Verify as RFC 8017 §8.2.2 does.

    dkimpy's own function turns numbers to octets one by one, which takes as long as the arithmetic.
    """
    modulus = key["modulus"]
    octets = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != octets or number >= modulus:
        return False
    encoded: bytes = EMSA_PKCS1_v1_5_encode(digest, octets)
    return pow(number, key["publicExponent"], modulus).to_bytes(octets, "big") == encoded


def _verifies_ed25519(key: VerifyKey, signature: bytes, digest: bytes) -> bool:
    if len(signature) != 64:
        return False
    try:
        key.verify(digest, signature)
    except BadSignatureError:
        return False
    return True


def _list(text: str) -> list[str]:
    return [item.strip(FWS).lower() for item in text.split(":")]
