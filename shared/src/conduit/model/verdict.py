"""What a policy decides about a recipient or a message, always with its reason."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a mail was deferred or rejected: a closed set, each with one reply."""

    UNKNOWN_ADDRESS = "unknown_address"
    INACTIVE_WEBHOOK = "inactive_webhook"
    DOMAIN_NOT_VERIFIED = "domain_not_verified"
    POLICY_MISSING = "policy_missing"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    AUTH_REQUIRED = "auth_required"
    AUTH_NOT_ALLOWED = "auth_not_allowed"
    SPF_NOT_PASSED = "spf_not_passed"
    SPF_DOMAIN_NOT_ALLOWED = "spf_domain_not_allowed"
    DKIM_NOT_PASSED = "dkim_not_passed"
    DKIM_DOMAIN_NOT_ALLOWED = "dkim_domain_not_allowed"
    DNS_FAILURE = "dns_failure"
    OTHER_DECISION = "other_decision"
    OVER_RATE = "over_rate"
    ENDPOINT_REFUSED = "endpoint_refused"
    ENDPOINT_FAILED = "endpoint_failed"
    TOO_LARGE = "too_large"
    LINE_TOO_LONG = "line_too_long"
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    MAIL_LOOP = "mail_loop"
    NO_MEMORY = "no_memory"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Accept:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: the sender may try again (4xx)."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Reject:
    """Never: the sender must not try again (5xx)."""

    reason: Reason


Verdict = Accept | Defer | Reject
