"""What a policy decides about a recipient or a message, always with its reason."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a mail was deferred or rejected: a closed set, each with one reply."""

    UNKNOWN_ADDRESS = "unknown_address"
    INACTIVE_WEBHOOK = "inactive_webhook"
    DOMAIN_NOT_VERIFIED = "domain_not_verified"
    POLICY_NOT_ENFORCED = "policy_not_enforced"
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
