"""The records by which owners of domains say what they want of DMARC (RFC 7489 §6.3).

Read is what a result needs: not where reports go, nor the share of mail (`pct`) that a policy is
meant for, since nothing is done by it here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_RECORD = 4096  # octets; real ones have some hundreds

_VERSION = re.compile(rb"[vV][ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_TAG = re.compile(rb"[ \t]*+([A-Za-z]++)[ \t]*+=([^;]*+)")
_REPORT_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+:[^\s,!]++")
_POLICIES = ("none", "quarantine", "reject")


class BadRecord(ValueError):
    """A record that says what no receiver can act on; the text says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a domain's owner wants; `subdomain_policy` is of the names below it."""

    policy: str
    subdomain_policy: str
    strict_spf: bool
    strict_dkim: bool


def records_among(texts: Iterable[bytes]) -> list[bytes]:
    """Return the TXT records that are DMARC's: they begin with the version (§6.6.3)."""
    return [text for text in texts if _VERSION.match(text)]


def read_record(text: bytes) -> Record:
    """Read a record, or raise BadRecord.

    Without a policy that can be read, one that asks for reports stands for `none` (§6.6.3). A bad
    value of another tag stands for its default (§6.3).
    """
    tags = _tags(text)
    policy, of_subdomains = _policy(tags, "p"), _policy(tags, "sp")
    if policy is None or ("sp" in tags and of_subdomains is None):
        if not _REPORT_URI.match(tags.get("rua", b"")):
            raise BadRecord("the DMARC record has no policy that can be read")
        policy = of_subdomains = "none"
    return Record(
        policy=policy,
        subdomain_policy=of_subdomains or policy,
        strict_spf=tags.get("aspf", b"").lower() == b"s",
        strict_dkim=tags.get("adkim", b"").lower() == b"s",
    )


def _tags(text: bytes) -> dict[str, bytes]:
    """Return the tags; what is none is passed over, and none may stand twice (RFC 6376 §3.2)."""
    if len(text) > MAX_RECORD:
        raise BadRecord(f"the DMARC record has more than {MAX_RECORD} octets")
    tags: dict[str, bytes] = {}
    for part in text.split(b";"):
        match = _TAG.fullmatch(part)
        if match is None:
            continue
        name = match[1].decode().lower()
        if name in tags:
            raise BadRecord("the DMARC record has a tag twice")
        tags[name] = match[2].strip(b" \t")
    return tags


def _policy(tags: dict[str, bytes], name: str) -> str | None:
    value = tags.get(name, b"").lower()
    return next((policy for policy in _POLICIES if value == policy.encode()), None)
