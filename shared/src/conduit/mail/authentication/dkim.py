"""DKIM (RFC 6376, RFC 8301, RFC 8463, RFC 8616): which domains vouch for a mail.

Of the library dkimpy only the forms of RSA's keys and signatures are used. Its verification
of a mail takes time by the square of what a sender chooses (runs of white space, folded lines,
empty lines) and can neither be stopped nor fed in parts; it takes signatures with `l=` and fields
put in front for valid, and does not tell what went wrong.

A signature that cannot be evaluated is a permerror: RFC 6376 calls that PERMFAIL. This includes
rsa-sha1 and RSA keys below 1,024 bits, which RFC 8301 wants to be treated as failed evaluation.
One that verifies but is not to be relied on is a matter of policy (RFC 8601 §2.7.1). A key for
testing (t=y) makes it neutral, verified or not: such mail is to be treated as unsigned
(RFC 6376 §3.6.1).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import time

from conduit.mail.aside import aside
from conduit.mail.authentication.dns import Dns
from conduit.mail.authentication.keys import Answers, Key, KeyProblem, key_of, look_up
from conduit.mail.authentication.signature import (
    Coverage,
    SignatureProblem,
    Signer,
    domain_of,
    read_coverage,
    read_signer,
    readable,
)
from conduit.mail.authentication.signed_mail import Signed, SignedMail, Verdict, verify
from conduit.mail.authentication.spare_time import Allotment, is_short
from conduit.mail.authentication.tag_list import FWS, TagListError, read_tags
from conduit.model.authentication import Dkim, DkimStatus

CLOCK_DRIFT = 3_600  # seconds that a signer's clock may be off (RFC 6376 §3.5)

_ONCE = (  # fields that a mail has at most once (RFC 5322 §3.6, RFC 2045)
    *(b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"date", b"subject"),
    *(b"message-id", b"in-reply-to", b"references"),
    *(b"mime-version", b"content-type", b"content-transfer-encoding", b"content-disposition"),
    *(b"content-id", b"content-description"),
)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A signature that was read. `identity` is the domain of its `i=`."""

    place: int
    signer: Signer
    coverage: Coverage
    identity: str


async def check_dkim(dns: Dns, raw: bytes, *, limit: int, deadline: float) -> tuple[Dkim, ...]:
    """Verify the first `limit` signatures of a mail, from the top; the others are not looked at.

    `deadline` is a moment of the running loop's clock. What DNS or the work has not come to by then
    is a temperror. Nothing is raised, whatever the mail.
    """
    mail = await aside(partial(SignedMail, raw), len(raw))
    places = mail.places(b"dkim-signature")[:limit]
    if not places:
        return ()
    time_left = Allotment(deadline)
    readings = [_read(mail, place) for place in places]
    names = [each.signer.key_name for each in readings if isinstance(each, _Claim)]
    answers = await look_up(dns, names, time_left.dns)
    findings = [each if isinstance(each, Dkim) else _with_key(each, answers) for each in readings]
    verdicts = await _verify(
        mail, [each for each in findings if isinstance(each, Signed)], time_left
    )
    return tuple(each if isinstance(each, Dkim) else verdicts[each.place] for each in findings)


def _read(mail: SignedMail, place: int) -> _Claim | Dkim:
    tags: Mapping[str, str] = {}
    try:
        tags = read_tags(mail.fields[place][1])
        return _claim(mail, place, tags)
    except (TagListError, SignatureProblem) as error:
        problem = f"the signature cannot be verified: {error}"
        return Dkim(DkimStatus.PERMERROR, *readable(tags), problem)


def _claim(mail: SignedMail, place: int, tags: Mapping[str, str]) -> _Claim:
    """Return what a signature says, or raise SignatureProblem (RFC 6376 §6.1.1)."""
    if mail.problem is not None:
        raise SignatureProblem(mail.problem)
    if tags.get("v") != "1":
        raise SignatureProblem("it is not of version 1 (v=)")
    signer = read_signer(tags)
    methods = [method.strip(FWS).lower() for method in tags.get("q", "dns/txt").split(":")]
    if "dns/txt" not in methods:
        raise SignatureProblem("its key is not in DNS (q=)")
    return _Claim(place, signer, read_coverage(tags), _identity(tags, signer.domain))


def _identity(tags: Mapping[str, str], domain: str) -> str:
    """Return the domain of `i=`, which lies within that of `d=`."""
    if "i" not in tags:
        return domain
    _, at, name = tags["i"].rpartition("@")
    identity = domain_of(name)
    if not at or identity is None or not f".{identity}".endswith(f".{domain}"):
        raise SignatureProblem("its identity (i=) is not within its domain (d=)")
    return identity


def _with_key(claim: _Claim, answers: Answers) -> Signed | Dkim:
    records = answers[claim.signer.key_name]
    if records is None:
        return _result(claim.signer, DkimStatus.TEMPERROR, "DNS gave no answer about the key")
    try:
        key = key_of(records)
        _check_use(claim, key)
    except KeyProblem as error:
        return _result(claim.signer, DkimStatus.PERMERROR, str(error))
    return Signed(claim.place, claim.signer, claim.coverage, key)


def _check_use(claim: _Claim, key: Key) -> None:
    if key.kind != claim.signer.kind:
        raise KeyProblem("the key is not of the kind that the signature was made with (k=, a=)")
    if key.own_domain_only and claim.identity != claim.signer.domain:
        raise KeyProblem("the key is not for identities in subdomains (t=s)")


async def _verify(
    mail: SignedMail, signatures: list[Signed], time_left: Allotment
) -> dict[int, Dkim]:
    """Return the results by place."""
    short = is_short(mail.size, len(signatures))
    try:
        verdicts = await time_left.do(partial(verify, mail, signatures), short=short)
    except TimeoutError:
        problem = "the signature was not verified in time"
        return {
            each.place: _result(each.signer, DkimStatus.TEMPERROR, problem) for each in signatures
        }
    now = time()
    return {
        signed.place: _judged(mail, signed, verdict, now)
        for signed, verdict in zip(signatures, verdicts, strict=True)
    }


def _judged(mail: SignedMail, signed: Signed, verdict: Verdict, now: float) -> Dkim:
    if signed.key.testing:
        found = verdict.problem or "the signature verifies"
        problem = f"the domain's key is for testing (t=y); {found}"
        return _result(signed.signer, DkimStatus.NEUTRAL, problem)
    if verdict.problem is not None:
        return _result(signed.signer, DkimStatus.FAIL, verdict.problem)
    objection = _objection(mail, signed.coverage, verdict, now)
    status = DkimStatus.PASS if objection is None else DkimStatus.POLICY
    return _result(signed.signer, status, objection)


def _objection(mail: SignedMail, coverage: Coverage, verdict: Verdict, now: float) -> str | None:
    """Return why a signature that verifies is not to be relied on."""
    if coverage.expires is not None and coverage.expires < now - CLOCK_DRIFT:
        return "the signature has expired (x=)"
    if coverage.signed_at is not None and coverage.signed_at > now + CLOCK_DRIFT:
        return "the signature is from the future (t=)"
    if verdict.beyond:
        return f"{verdict.beyond} octets at the end of the body are not signed (l=)"
    added = _added_field(mail, coverage)
    if added is not None:
        return f"there are more {added.decode()} fields than were signed"
    return None


def _added_field(mail: SignedMail, coverage: Coverage) -> bytes | None:
    """Return a name whose fields are several, not all of them signed (RFC 6376 §8.15)."""
    signed = Counter(coverage.fields)
    for name in _ONCE:
        if len(mail.places(name)) > max(1, signed[name]):
            return name
    return None


def _result(signer: Signer, status: DkimStatus, problem: str | None) -> Dkim:
    return Dkim(status, signer.domain, signer.selector, signer.algorithm, problem)
