"""What SPF, DKIM, DMARC and ARC say of a mail, in the shape that webhooks get it in."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from conduit.model.authentication import AuthResults
from conduit.webhook.payload import authentication
from conduit_api.fields import Response


class SpfResponse(Response):
    """Whether the sender's domain lets the client's address send its mail."""

    result: str = Field(description="A word of RFC 8601, such as pass or softfail")
    scope: Literal["mailfrom", "helo"] = Field(description="Whose domain was asked")
    domain: str | None = None
    reason: str | None = Field(default=None, description="Why it is no pass")


class DkimResponse(Response):
    """What came of one signature; what cannot be read of it is left out."""

    result: str = Field(description="A word of RFC 8601, such as pass or fail")
    domain: str | None = Field(default=None, description="Who signed")
    selector: str | None = None
    algorithm: str | None = None
    reason: str | None = Field(default=None, description="Why it is no pass")


class DmarcResponse(Response):
    """Whether SPF or DKIM vouches for the domain of the From field."""

    result: str = Field(description="A word of RFC 8601, such as pass or fail")
    domain: str | None = Field(default=None, description="That of the From field")
    policy: str | None = Field(
        default=None, description="What its owner asks for: none, quarantine or reject"
    )
    reason: str | None = Field(default=None, description="Why it is no pass")


class ArcResponse(Response):
    """The chain of those who passed the mail on."""

    result: str = Field(description="A word of RFC 8617, such as pass or none")
    domain: str | None = Field(default=None, description="Who sealed it last")
    instances: int = Field(description="How many sealed it")
    reason: str | None = Field(default=None, description="Why it is no pass")


class AuthenticationResponse(Response):
    """What SPF, DKIM, DMARC and ARC say of who a mail is from."""

    spf: SpfResponse
    dkim: Sequence[DkimResponse] = Field(description="One for each signature")
    dmarc: DmarcResponse
    arc: ArcResponse

    @classmethod
    def of(cls, results: AuthResults) -> "AuthenticationResponse":
        """Return what is told of the results."""
        return cls.model_validate(authentication(results))
