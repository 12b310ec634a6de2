"""The domain of the one who signs as author of a mail: the identifier of DMARC (RFC 7489 §3).

Whoever reads the mail must see the same author as is checked here. Where that is not sure, there
is none.
"""

import re

from conduit.mail.address import AddressError, ascii_domain, parse_address
from conduit.mail.fields import read_section
from conduit.mail.mailboxes import MAX_FIELD, read_mailboxes
from conduit.mail.notes import Notes

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?+)', re.DOTALL)
_NO_LOCAL_PART = re.compile(r'[\s@"<>(),:;]')
_ONE_ANGLE = re.compile(rb"[^<>]*+(?:<[^<>]++>\s*+(?:\([^()<>@]*+\)\s*+)?+[;,\s]*+)?+")


class NoAuthor(ValueError):
    """A mail has not exactly one author with a domain; the text says why."""


def author_domain(raw: bytes) -> str:
    """Return the domain of the From field's one mailbox in lower-case A-labels, or raise NoAuthor.

    Several mailboxes are allowed (RFC 5322 §3.6.2) but rare, and no receiver agrees with another
    over what is to be done with them (RFC 7489 §6.6.1).
    """
    value = _only_from_field(raw)
    mailboxes = read_mailboxes(value, Notes())
    if len(mailboxes) != 1:
        raise NoAuthor("the From field has not exactly one mailbox")
    if len(value) > MAX_FIELD or not _ONE_ANGLE.fullmatch(_QUOTED.sub(_without_quoted, value)):
        raise NoAuthor("the From field can be read in more than one way")
    return _domain_of(mailboxes[0].address)


def _without_quoted(match: re.Match[bytes]) -> bytes:
    """Take a quoted string out; one without end is not one that all would read so."""
    return b"" if match[1] else b"<"


def _only_from_field(raw: bytes) -> bytes:
    section = read_section(raw, 0, len(raw))
    if section.problem is not None:
        raise NoAuthor(section.problem)
    values = [value for name, value in section.fields if name.lower() == b"from"]
    if len(values) != 1:
        raise NoAuthor("there is not exactly one From field")
    return values[0]


def _domain_of(address: str) -> str:
    """Return an address's domain; local parts outside the grammar occur, and don't matter here."""
    local, _, domain = address.rpartition("@")
    quoted = local.startswith('"') and local.endswith('"')
    if not local or (not quoted and _NO_LOCAL_PART.search(local)) or domain.startswith("["):
        raise NoAuthor("the From field has no address with a domain")
    try:
        return ascii_domain(parse_address(f"author@{domain}").domain)
    except AddressError as error:
        raise NoAuthor(f"the From field has no address with a domain: {error}") from None
