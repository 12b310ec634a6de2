"""The Received field that we put on a mail (RFC 5321 §4.4)."""

import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from conduit.mail.address import AddressError, ascii_domain
from conduit.mail.trace_text import MAX_VALUE, comment, folded

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9])?")
_LITERAL = re.compile(r"\[[A-Za-z0-9:.\-]+\]")
_PATH = re.compile(r"(?![^\0]*=\?)[^\s<>()]+@[^\s<>()@]+")


def protocol_keyword(*, extended: bool, tls: bool, authenticated: bool, utf8: bool) -> str:
    """Return the word after `with` (RFC 3848, RFC 6531 §4.3).

    `extended`: the client said EHLO; without it, it has no word for TLS. `utf8`: this mail came
    with the parameter SMTPUTF8.
    """
    if not extended:
        return "SMTP"
    name = "UTF8SMTP" if utf8 else "ESMTP"
    return name + "S" * tls + "A" * authenticated


def received_field(  # noqa: PLR0913 (all that a session knows)
    *,
    helo: str,
    remote_ip: str,
    hostname: str,
    protocol: str,
    message_id: str,
    recipient: str | None,
    received_at: datetime,
    tls: str | None,
) -> bytes:
    """Return the field with its CRLF.

    `protocol` is of `protocol_keyword`, `message_id` our own for the mail, `tls` the protocol
    version. `recipient` is None when there are several, whom it would tell of one another. One
    that is not plain enough to stand there is left out.
    """
    transport = ["with", protocol, *([comment(tls)] if tls else [])]
    by = ["by", hostname, *transport, "id", message_id]
    clauses = [by, ["for", f"<{recipient}>"]] if _may_be_told(recipient) else [by]
    clauses[-1][-1] += ";"
    date = _date(received_at.replace(microsecond=0))
    return folded("Received", [_from(helo, remote_ip), *clauses, [date]])


@lru_cache(maxsize=2)
def _date(second: datetime) -> str:
    """Many mails come within a second."""
    return format_datetime(second)


@lru_cache(maxsize=1024)
def _from(helo: str, remote_ip: str) -> tuple[str, ...]:
    """Name the client by its HELO, or where that is no name, by its address."""
    literal = _address_literal(remote_ip)
    name = _host(helo)
    if name is None:
        return ("from", literal or "unknown", comment(f"HELO {helo}"))
    return ("from", name, f"({literal or 'unknown'})")


def _host(helo: str) -> str | None:
    try:
        name = ascii_domain(helo[: MAX_VALUE + 1]) if not helo.isascii() else helo
    except AddressError:
        return None
    fits = len(name) <= MAX_VALUE and (_HOST.fullmatch(name) or _LITERAL.fullmatch(name))
    return name if fits else None


def _address_literal(remote_ip: str) -> str | None:
    """RFC 5321 §4.1.3; an IPv4 address that came over an IPv6 socket is one still."""
    try:
        address = ip_address(remote_ip.partition("%")[0])
    except ValueError:  # a socket without an address of either family
        return None
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return f"[{mapped}]" if mapped else f"[IPv6:{address}]"
    return f"[{address}]"


def _may_be_told(recipient: str | None) -> bool:
    if recipient is None:
        return False
    fits = len(recipient.encode(errors="replace")) <= MAX_VALUE and recipient.isprintable()
    return fits and _PATH.fullmatch(recipient) is not None
