"""Identifier alignment (RFC 7489 §3.1): whether what SPF and DKIM vouch for is the author's domain.

All names are in lower-case A-labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from conduit.mail.public_suffixes import public_suffixes
from conduit.model.authentication import Dkim, DkimStatus, Spf, SpfStatus


def organizational_domain(domain: str) -> str:
    """Return the registered name that a domain lies below (§3.2), itself for a public suffix.

    The list's private section counts, as with the receivers that load the list as it is published
    (§3.2 makes no difference between its sections): a customer of a host could else pass for the
    host, or for another of its customers.
    """
    return public_suffixes().privatesuffix(domain) or domain


def aligned(domain: str, author: str, *, strict: bool) -> bool:
    """Tell whether a domain that was vouched for stands for the author's."""
    if domain == author:
        return True
    if strict or not domain:
        return False
    return organizational_domain(domain) == organizational_domain(author)


@dataclass(frozen=True, slots=True)
class Alignment:
    """What one mail's results say of its author's domain.

    `passed`: a pass stands for it. `open`: a result stands for it that DNS has left in doubt.
    """

    passed: bool
    open: bool


def align(
    author: str, spf: Spf, dkim: Sequence[Dkim], *, strict_spf: bool, strict_dkim: bool
) -> Alignment:
    """Hold the results against the author's domain; of SPF and DKIM, one pass is enough (§4.2).

    SPF's domain is the HELO's for the null reverse-path (§3.1.2 by way of RFC 7208 §2.4).
    """
    passed = open_ = False
    if aligned(spf.domain, author, strict=strict_spf):
        passed = spf.status is SpfStatus.PASS
        open_ = spf.status is SpfStatus.TEMPERROR
    for each in dkim:
        if aligned(each.domain, author, strict=strict_dkim):
            passed = passed or each.status is DkimStatus.PASS
            open_ = open_ or each.status is DkimStatus.TEMPERROR
    return Alignment(passed, open_)
