"""What DNS shows of a claim: the TXT records at its challenge name, held against its token."""

import hmac
from dataclasses import dataclass
from enum import StrEnum

from dns.asyncresolver import Resolver
from dns.exception import DNSException, Timeout
from dns.name import from_text
from dns.resolver import NXDOMAIN, NoAnswer
from prometheus_client import Histogram

from conduit.model.domain import Domain, challenge_name
from conduit.telemetry.metrics import LATENCY_BUCKETS

LOOK_UP_SECONDS = Histogram(
    "conduit_domain_lookup_seconds",
    "Time from the question to DNS's answer, or to giving up.",
    buckets=LATENCY_BUCKETS,
)

_SHOWN, _SHOWN_LENGTH = 3, 80  # of a stranger's records, in a text for a user


class Finding(StrEnum):
    """What a look-up says of a claim."""

    PUBLISHED = "published"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding, and what it says to the claim's owner; `cause` is DNS's own word, for the log."""

    finding: Finding
    problem: str | None = None
    cause: str | None = None


async def look_up(resolver: Resolver, claim: Domain) -> Evidence:
    """Ask DNS about a claim. That DNS does not tell is a finding too."""
    with LOOK_UP_SECONDS.time():
        try:
            name = from_text(challenge_name(claim.name))
            answer = await resolver.resolve(name, "TXT", search=False)
        except (NXDOMAIN, NoAnswer):
            return judge(claim, [])
        except DNSException as error:
            return _unknown(claim, error)
    return judge(claim, [b"".join(record.strings) for record in answer])


def judge(claim: Domain, texts: list[bytes]) -> Evidence:
    """Hold the TXT records at the challenge name against the claim's token."""
    token = claim.verification_token.encode()
    if any(hmac.compare_digest(text, token) for text in texts):
        return Evidence(Finding.PUBLISHED)
    name = challenge_name(claim.name)
    wanted = f"Create a TXT record at {name} with the value {claim.verification_token}"
    if not texts:
        return Evidence(
            Finding.MISSING,
            f"There is no TXT record at {name}. {wanted}; it can take a while to be seen.",
        )
    return Evidence(
        Finding.DIFFERENT,
        f"The TXT record at {name} is {_shown(texts)}. {wanted}, beside it or in its place.",
    )


def _shown(texts: list[bytes]) -> str:
    some = [ascii(text[:_SHOWN_LENGTH].decode(errors="replace")) for text in texts[:_SHOWN]]
    more = [f"{len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return " and ".join(some + more)


def _unknown(claim: Domain, error: DNSException) -> Evidence:
    why = "no answer came in time" if isinstance(error, Timeout) else "the name servers failed"
    problem = (
        f"DNS could not be asked for the TXT record at {challenge_name(claim.name)}: {why}. "
        "Nothing has changed; try again in a few minutes."
    )
    return Evidence(Finding.UNKNOWN, problem, cause=str(error))
