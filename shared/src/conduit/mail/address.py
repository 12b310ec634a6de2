"""Mailboxes and paths, strictly by the grammar of RFC 5321 §4.1.2 (with RFC 6531 §3.3).

The `email` package reads addresses by RFC 5322, whose comments, encoded words and folding have no
place in an SMTP dialogue, so nothing of it is used here.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

MAX_LOCAL = 64  # octets, RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 255  # octets, §4.5.3.1.2
MAX_PATH = 256  # octets with its brackets, §4.5.3.1.3
MAX_ADDRESS = MAX_PATH - 2

_UTF8 = "\x80-\U0010ffff"
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_UTF8}]"
_DOT_STRING = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_QUOTED_STRING = rf'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e{_UTF8}]|\\[\x20-\x7e])*"'
_LABEL = rf"[A-Za-z0-9{_UTF8}](?:[A-Za-z0-9\-{_UTF8}]*[A-Za-z0-9{_UTF8}])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[[A-Za-z0-9:.]+\]"
_MAILBOX = rf"(?P<local>{_DOT_STRING}|{_QUOTED_STRING})@(?P<domain>{_DOMAIN}|{_LITERAL})"
_SOURCE_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"

_domain = re.compile(_DOMAIN)
_mailbox = re.compile(_MAILBOX)
_path = re.compile(rf"<{_SOURCE_ROUTE}{_MAILBOX}>")
_dot_string = re.compile(_DOT_STRING)
_surrogate = re.compile("[\ud800-\udfff]")
_quoted_pair = re.compile(r"\\(.)")
_needs_quoting = re.compile(r'(["\\])')


class AddressError(ValueError):
    """Not an address; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `local` is without its quotes; both parts are as they were written.

    `domain` is empty for the `<Postmaster>` that needs none (RFC 5321 §4.5.1).
    """

    local: str
    domain: str

    def __str__(self) -> str:
        local = self.local
        if not _dot_string.fullmatch(local):
            local = '"' + _needs_quoting.sub(r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """The form under which an address is registered, one for all ways to write it.

        The local part is in lower case and NFC, as RFC 8265 §3.3 has it for user names: not case
        folded, which would make `ß` and `ss` one. The domain is in lower-case A-labels. A key can
        have more octets than what was written, and more than an address may have.
        """
        return str(Address(_lower(self.local), ascii_domain(self.domain)))


def _lower(local: str) -> str:
    if local.isascii():
        return local.lower()
    # Twice: some letters have a composed form in lower case only.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())


def ascii_domain(domain: str) -> str:
    """Return a domain in lower-case A-labels (RFC 5891), or raise AddressError."""
    if domain.isascii():
        return domain.lower()
    try:
        name = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise AddressError("the domain is not a valid internationalized name") from error
    if not _domain.fullmatch(name):  # some of Unicode's full stops become a dot at the end
        raise AddressError("the domain is not a valid internationalized name")
    return name


def parse_address(text: str) -> Address:
    """Read a mailbox such as `alerts@example.com`, or raise AddressError."""
    match = _mailbox.fullmatch(text)
    if match is None:
        raise AddressError("not an address of the form local-part@domain")
    if _octets(text) > MAX_ADDRESS:
        raise AddressError(f"an address has at most {MAX_ADDRESS} octets")
    return _checked(match)


def parse_reverse_path(text: str) -> tuple[Address | None, str]:
    """Read what follows `MAIL FROM:`; return the path, None for `<>`, and the parameters."""
    if text.startswith("<>"):
        return None, _parameters(text[2:])
    return _path_and_parameters(text)


def parse_forward_path(text: str) -> tuple[Address, str]:
    """Read what follows `RCPT TO:`; return the path and the parameters."""
    if text[:12].lower() == "<postmaster>":
        return Address("postmaster", ""), _parameters(text[12:])
    return _path_and_parameters(text)


def check_utf8(address: Address | None, *, allowed: bool) -> None:
    """Raise AddressError for an address outside ASCII whose mail was not announced as SMTPUTF8."""
    if address is not None and not allowed and not str(address).isascii():
        raise AddressError("an address outside ASCII needs the parameter SMTPUTF8")


@lru_cache(maxsize=1024)  # a session sends from one address to one, mail after mail
def _path_and_parameters(text: str) -> tuple[Address, str]:
    match = _path.match(text)
    if match is None:
        raise AddressError("not a path of the form <local-part@domain>")
    if _octets(match[0]) > MAX_PATH:
        raise AddressError(f"a path has at most {MAX_PATH} octets")
    return _checked(match), _parameters(text[match.end() :])


def _parameters(rest: str) -> str:
    if rest and not rest.startswith(" "):
        raise AddressError("a space must separate the path from its parameters")
    return rest.strip(" ")


def _checked(match: re.Match[str]) -> Address:
    local, domain = match["local"], match["domain"]
    if not _is_unicode(match[0]):
        raise AddressError("an address outside ASCII must be in UTF-8")
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"a local part has at most {MAX_LOCAL} octets")
    _check_domain(domain)
    if local.startswith('"'):
        local = _quoted_pair.sub(r"\1", local[1:-1])
    return Address(local, domain)


def _octets(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _is_unicode(text: str) -> bool:
    """Whether the octets were UTF-8: others are decoded to lone surrogates."""
    return text.isascii() or _surrogate.search(text) is None


def _check_domain(domain: str) -> None:
    if domain.startswith("["):
        _check_literal(domain[1:-1])
        return
    name = ascii_domain(domain)
    if len(name) > MAX_DOMAIN or any(len(label) > 63 for label in name.split(".")):
        raise AddressError("a domain has at most 255 octets, its labels at most 63")


def _check_literal(literal: str) -> None:
    tag, _, rest = literal.partition(":")
    try:
        IPv6Address(rest) if tag.lower() == "ipv6" else IPv4Address(literal)
    except AddressValueError as error:
        raise AddressError("not an address literal") from error
