"""What SPF, DKIM, DMARC and ARC say of a mail: results in the words of RFC 8601."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

_AS_KEPT = ConfigDict(extra="ignore")
"""For results that are read from a record: a newer Conduit may have written more fields."""


class SpfStatus(StrEnum):
    """RFC 7208 §2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class DkimStatus(StrEnum):
    """RFC 8601 §2.7.1. `policy`: the signature verifies, but in a way that is not acceptable."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    POLICY = "policy"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class DmarcStatus(StrEnum):
    """RFC 7489 §11.2."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class ArcStatus(StrEnum):
    """RFC 8617 §4.4, and temperror where DNS failed."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    TEMPERROR = "temperror"


class SpfScope(StrEnum):
    """Which identity was checked (RFC 7208 §2.3, §2.4): HELO's for the null reverse-path."""

    MAIL_FROM = "mailfrom"
    HELO = "helo"


@dataclass(frozen=True, slots=True)
class Spf:
    """The verdict on the client's address. `domain` is the checked one, in lower-case A-labels.

    `problem` says in one line why it is no pass, None for a pass.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _AS_KEPT

    status: SpfStatus
    scope: SpfScope
    domain: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dkim:
    """The verdict on one signature.

    `domain` is its `d=` in lower-case A-labels, `selector` its `s=`, `algorithm` its `a=`, such as
    `rsa-sha256`. All three are empty where they cannot be read.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _AS_KEPT

    status: DkimStatus
    domain: str
    selector: str
    algorithm: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dmarc:
    """Whether SPF or DKIM vouches for the domain of the From field.

    `domain` is that of the From field, empty when there is not exactly one. `policy` is what the
    domain's owner asks for mail that does not pass: `none`, `quarantine` or `reject`; None when no
    record was found.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _AS_KEPT

    status: DmarcStatus
    domain: str
    policy: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Arc:
    """The verdict on the chain of intermediaries. `domain` is the last sealer's `d=`.

    `instances` counts the sets of the chain.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _AS_KEPT

    status: ArcStatus
    domain: str = ""
    instances: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AuthResults:
    """All that was found out about who a mail is from. `dkim` has every signature in its order."""

    __pydantic_config__: ClassVar[ConfigDict] = _AS_KEPT

    spf: Spf
    dkim: tuple[Dkim, ...]
    dmarc: Dmarc
    arc: Arc
