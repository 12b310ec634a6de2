"""Which domain names an account may claim."""

import re
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from conduit.model.domain import challenge_name
from conduit_api.errors import Unprocessable

_TOP_LEVEL = re.compile(r"\.[a-z][^.]*\Z")  # no address, in whatever notation, ends so
_LONGEST = 253  # octets of a name in text form, RFC 1035 §2.3.4


def claimable(text: str, public_domain: str) -> str:
    """Return the name in lower-case A-labels (RFC 5890), or raise Unprocessable."""
    name = _ascii(text.removesuffix("."))
    if not _TOP_LEVEL.search(name):
        raise _refused("An IP address or a single label cannot be claimed.")
    if len(challenge_name(name)) > _LONGEST:
        raise _refused("This name is too long for its verification record.")
    if f".{name}".endswith(f".{public_domain}"):
        raise _refused(f"{public_domain} and the names below it are Conduit's own.")
    if _public_suffixes().is_public(name):
        raise _refused("A public suffix cannot be claimed, only names below it.")
    return name


def _ascii(text: str) -> str:
    if len(text) > _LONGEST:  # before the mapping, whose time grows with the length
        raise _refused("A domain name has at most 253 characters.")
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode()
    except idna.IDNAError:
        raise _refused("This is not a domain name.") from None


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _refused(why: str) -> Unprocessable:
    return Unprocessable("invalid_domain_name", f"name: {why}")
