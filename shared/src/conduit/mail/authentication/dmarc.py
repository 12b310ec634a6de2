"""DMARC (RFC 7489): whether SPF or DKIM vouches for the domain of the author.

The result is told, and nothing is done by it: what the owner of the domain asks for is for whoever
gets the mail to decide on.
"""

from collections.abc import Sequence
from functools import partial

from conduit.errors import TemporaryDnsFailure
from conduit.mail.aside import aside
from conduit.mail.authentication.alignment import Alignment, align, organizational_domain
from conduit.mail.authentication.author import NoAuthor, author_domain
from conduit.mail.authentication.dmarc_record import BadRecord, Record, read_record, records_among
from conduit.mail.authentication.dns import Dns
from conduit.model.authentication import Dkim, Dmarc, DmarcStatus, Spf


async def check_dmarc(dns: Dns, raw: bytes, spf: Spf, dkim: Sequence[Dkim]) -> Dmarc:
    """Return DMARC's word on a mail; the words are those of §11.2.

    `none`: there is no author to ask for, or no record of theirs, or several, which count as none
    (§6.6.3). `permerror`: their record cannot be read. `temperror`: DNS has failed, and another
    answer could have made another result; that holds of the record always.
    """
    try:
        author = await aside(partial(author_domain, raw), len(raw))
    except NoAuthor as error:
        return Dmarc(DmarcStatus.NONE, "", problem=str(error))
    try:
        return await _checked(dns, author, spf, dkim)
    except TemporaryDnsFailure:
        return Dmarc(DmarcStatus.TEMPERROR, author, problem="DNS gave no DMARC record")


async def _checked(dns: Dns, author: str, spf: Spf, dkim: Sequence[Dkim]) -> Dmarc:
    owner, found = await _records(dns, author)
    if len(found) != 1:
        problem = "several DMARC records" if found else "no DMARC record"
        return Dmarc(DmarcStatus.NONE, author, problem=problem)
    try:
        record = read_record(found[0])
    except BadRecord as error:
        return Dmarc(DmarcStatus.PERMERROR, author, problem=str(error))
    policy = record.policy if owner == author else record.subdomain_policy
    return _judged(author, policy, _alignment(author, record, spf, dkim))


async def _records(dns: Dns, author: str) -> tuple[str, list[bytes]]:
    """Return whose records count: the author's domain's, else its organizational domain's."""
    found = records_among(await dns.txt(f"_dmarc.{author}"))
    owner = organizational_domain(author)
    if found or owner == author:
        return author, found
    return owner, records_among(await dns.txt(f"_dmarc.{owner}"))


def _alignment(author: str, record: Record, spf: Spf, dkim: Sequence[Dkim]) -> Alignment:
    strict_spf, strict_dkim = record.strict_spf, record.strict_dkim
    return align(author, spf, dkim, strict_spf=strict_spf, strict_dkim=strict_dkim)


def _judged(author: str, policy: str, alignment: Alignment) -> Dmarc:
    if alignment.passed:
        return Dmarc(DmarcStatus.PASS, author, policy)
    if alignment.open:
        problem = "DNS has left SPF or DKIM of this domain in doubt"
        return Dmarc(DmarcStatus.TEMPERROR, author, policy, problem)
    problem = "neither SPF nor DKIM passed for this domain"
    return Dmarc(DmarcStatus.FAIL, author, policy, problem)
