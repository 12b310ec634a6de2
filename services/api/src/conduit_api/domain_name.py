"""Domain names in the form in which they are kept, and which of them an account may claim."""

import re

import idna

from conduit.mail.public_suffixes import public_suffixes
from conduit.model.domain import challenge_name
from conduit_api.errors import Unprocessable

_TOP_LEVEL = re.compile(r"\.[a-z][^.]*\Z")  # no address, in whatever notation, ends so
_LONGEST = 253  # octets of a name in text form, RFC 1035 §2.3.4


class NotADomain(ValueError):
    """Not the name of a domain; the text says why."""


def claimable(text: str, public_domain: str) -> str:
    """Return the name in lower-case A-labels (RFC 5890), or raise Unprocessable."""
    try:
        name = a_labels(text.removesuffix("."))
    except NotADomain as error:
        raise _refused(str(error)) from None
    if len(challenge_name(name)) > _LONGEST:
        raise _refused("This name is too long for its verification record.")
    if f".{name}".endswith(f".{public_domain}"):
        raise _refused(f"{public_domain} and the names below it are Conduit's own.")
    if public_suffixes().is_public(name):
        raise _refused("A public suffix cannot be claimed, only names below it.")
    return name


def a_labels(text: str) -> str:
    """Return a name of at least two labels in lower-case A-labels, or raise NotADomain."""
    if len(text) > _LONGEST:  # before the mapping, whose time grows with the length
        raise NotADomain("A domain name has at most 253 characters.")
    try:
        name = idna.encode(text, uts46=True, std3_rules=True).decode()
    except idna.IDNAError:
        raise NotADomain("This is not a domain name.") from None
    if not _TOP_LEVEL.search(name):
        raise NotADomain("An IP address or a single label does not do.")
    return name


def _refused(why: str) -> Unprocessable:
    return Unprocessable("invalid_domain_name", f"name: {why}")
