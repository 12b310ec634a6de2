"""SPF: whether a domain lets this client send mail in its name (RFC 7208).

`spftrace` evaluates the records. This module decides whose records, asks DNS for it, bounds the
work that a record may ask for, and puts the outcome into words.
"""

import asyncio
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from spftrace import (
    BaseResolver,
    DnsError,
    Evaluator,
    Limits,
    Result,
    SpfPermError,
    SpfTempError,
    Term,
)
from spftrace.macros import MacroContext, expand, truncate_domain
from spftrace.resolver import NOERROR, TIMEOUT

from conduit.errors import TemporaryDnsFailure
from conduit.mail.address import Address, AddressError, ascii_domain
from conduit.mail.authentication.dns import Dns
from conduit.model.authentication import Spf, SpfScope, SpfStatus

TIME_LIMIT = 20.0
"""Seconds for one check; RFC 7208 §4.6.4 allows no fewer as a rule."""

MAX_RECORD = 8 * 1024
"""Octets of an SPF record; it should fit into 512 (§3.4), and reading one takes the CPU's time."""

MAX_ADDRESSES = 500
"""Addresses of one name, for the same reason."""

_MAX_HELO = 255
_MAX_REASON = 200
_MAX_EXPLANATION = 255

_LABEL = r"[!-\-/-Z\\^-~]{1,63}"  # in ASCII, neither of an address literal nor with a space
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")

_PROBLEMS = {
    SpfStatus.NEUTRAL: "the SPF record of {domain} does not say whether it permits {ip}",
    SpfStatus.SOFTFAIL: "the SPF record of {domain} probably does not permit {ip}",
    SpfStatus.FAIL: "the SPF record of {domain} does not permit {ip}",
    SpfStatus.NONE: "{domain} has no SPF record",
    SpfStatus.PERMERROR: "the SPF record of {domain} cannot be interpreted",
    SpfStatus.TEMPERROR: "the SPF record of {domain} cannot be evaluated now",
}


async def check_spf(
    dns: Dns, *, remote_ip: str, helo: str, sender: Address | None, timeout: float = TIME_LIMIT
) -> Spf:
    """Check the domain of the sender, or that of HELO for the null reverse-path (§2.4).

    An IPv4 address mapped into IPv6 counts as the IPv4 address (§5). After `timeout` seconds, and
    wherever DNS fails, the verdict is temperror. Raise ValueError for what is no IP address.
    """
    ip = _client_address(remote_ip)
    identity = _Identity.of(helo, sender)
    if not _DOMAIN.fullmatch(identity.domain):
        return _verdict(SpfStatus.NONE, identity, "there is no domain name to check")
    evaluator = _Evaluator(_Resolver(dns), Limits(time_limit=timeout, max_queries=None), "unknown")
    try:
        result = await evaluator.evaluate(str(ip), identity.sender, helo[:_MAX_HELO])
    except ValueError:  # numbers and addresses that spftrace's grammar takes, but Python does not
        problem = _PROBLEMS[SpfStatus.PERMERROR].format(domain=identity.domain)
        return _verdict(SpfStatus.PERMERROR, identity, problem)
    status = SpfStatus(result.result)
    return _verdict(status, identity, _problem(status, identity.domain, str(ip), result))


@dataclass(frozen=True, slots=True)
class _Identity:
    """Who is checked: `domain` in lower-case A-labels where it can have them."""

    scope: SpfScope
    local: str
    domain: str

    @classmethod
    def of(cls, helo: str, sender: Address | None) -> "_Identity":
        if sender is None:
            return cls(SpfScope.HELO, "postmaster", _a_labels(helo[:_MAX_HELO].removesuffix(".")))
        return cls(SpfScope.MAIL_FROM, sender.local or "postmaster", _a_labels(sender.domain))

    @property
    def sender(self) -> str:
        return f"{self.local}@{self.domain}"


class _Resolver(BaseResolver):
    """Asks `Dns` for what spftrace wants to know."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        await asyncio.sleep(0)  # as `_target` does
        try:
            return NOERROR, await self._answers(name, rtype)
        except TemporaryDnsFailure:
            return TIMEOUT, []

    async def _answers(self, name: str, kind: str) -> list[str]:
        match kind:
            case "TXT":
                return [_text(record, name) for record in await self._dns.txt(name)]
            case "MX":
                return list(await self._dns.mx(name))
            case "PTR":
                return list(await self._dns.ptr(name))
        addresses = await (self._dns.a(name) if kind == "A" else self._dns.aaaa(name))
        if len(addresses) > MAX_ADDRESSES:
            raise SpfPermError(f"{name} has more than {MAX_ADDRESSES} addresses")
        return list(addresses)


class _Evaluator(Evaluator):
    async def _target(self, term: Term, ctx: MacroContext) -> str:
        """Let others have their turn: where all answers are at hand, nothing else waits."""
        await asyncio.sleep(0)
        return await super()._target(term, ctx)

    async def _explanation(
        self, ip: IPv4Address | IPv6Address, domain: str, sender: str, helo: str, exp_term: Term
    ) -> str | None:
        """Return what the domain says to those whom it does not permit (§6.2).

        spftrace's own takes no text with a space in it.
        """
        context = MacroContext(ip, sender, helo, domain, self.receiver, self.session)
        try:
            with self.session.void_exempt():
                name = truncate_domain(await expand(exp_term.arg or "", context))
                _, texts = await self.session.query(name, "TXT")
                if len(texts) != 1 or len(texts[0]) > MAX_RECORD:
                    return None
                words = [await expand(word, context, exp=True) for word in texts[0].split(" ")]
        except (SpfPermError, SpfTempError, DnsError, ValueError):
            return None
        text = " ".join(words)
        if len(text) > _MAX_EXPLANATION or not _printable(text):
            return None
        return f"{domain} explains: {text}"


def _client_address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])  # a link-local one may come with its interface
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _a_labels(domain: str) -> str:
    try:
        return ascii_domain(domain)
    except AddressError:
        return ""


def _text(record: bytes, name: str) -> str:
    if len(record) > MAX_RECORD and record[:6].lower() == b"v=spf1":
        raise SpfPermError(f"the record of {name} is longer than {MAX_RECORD} octets")
    return record.decode("latin-1")


def _verdict(status: SpfStatus, identity: _Identity, problem: str | None) -> Spf:
    return Spf(status, identity.scope, identity.domain, problem)


def _problem(status: SpfStatus, domain: str, ip: str, result: Result) -> str | None:
    if status is SpfStatus.PASS:
        return None
    problem = _PROBLEMS[status].format(domain=domain, ip=ip)
    detail = result.explanation or ""
    if status in {SpfStatus.PERMERROR, SpfStatus.TEMPERROR}:
        reasons = (event.data["reason"] for event in result.trace.events if event.kind == "exit")
        detail = _one_line(next(reasons, ""))
    return f"{problem}: {detail}" if detail else problem


def _one_line(text: str) -> str:
    """Return what a record's owner has a hand in so that it can stand in a reply or a field."""
    return "".join(mark if _printable(mark) else "?" for mark in text[:_MAX_REASON])


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
