"""A webhook's payload options in requests and answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from conduit.model.payload_options import SMALLEST_BODY, AttachmentMode, PayloadOptions
from conduit.settings import PayloadSettings
from conduit_api.errors import Unprocessable
from conduit_api.fields import Omittable, Request, Response

Text = Annotated[bool, Field(description="Whether calls have text, and stripped_text of replies")]
Html = Annotated[bool, Field(description="Whether calls have html")]
Headers = Annotated[bool, Field(description="Whether calls have headers")]
Attachments = Annotated[
    Literal["inline", "links", "none"],
    Field(
        description="inline: with their contents. links: with a URL for each, which needs no "
        "token and is good for as long as the mail is kept. none: described only"
    ),
]
_ATTACHMENT_LIMIT = "Bytes of attachments' contents in one call"
_BODY_LIMIT = f"Bytes of a call's body, {SMALLEST_BODY} at least"
_OPERATORS = "0 = the operator's limit, which is also the highest"


class PayloadRequest(Request):
    """Which of a mail's parts calls have; in an update, what is left out stays."""

    text: Omittable[Text] = Field(default=None, json_schema_extra={"default": True})
    html: Omittable[Html] = Field(default=None, json_schema_extra={"default": True})
    headers: Omittable[Headers] = Field(default=None, json_schema_extra={"default": True})
    attachments: Omittable[Attachments] = Field(
        default=None, json_schema_extra={"default": "inline"}
    )
    attachment_limit: Omittable[
        Annotated[int, Field(ge=0, description=f"{_ATTACHMENT_LIMIT}; {_OPERATORS}")]
    ] = None
    body_limit: Omittable[
        Annotated[int, Field(ge=0, description=f"{_BODY_LIMIT}; {_OPERATORS}")]
    ] = None

    def applied_to(self, options: PayloadOptions) -> PayloadOptions:
        """Return the options with what the request names."""
        changes: dict[str, Any] = self.model_dump(exclude_none=True)
        if self.attachments is not None:
            changes["attachments"] = AttachmentMode(self.attachments)
        for name in {"attachment_limit", "body_limit"} & changes.keys():
            changes[name] = changes[name] or None
        return options.model_copy(update=changes)


class PayloadResponse(Response):
    """Which of a mail's parts calls have."""

    text: Text
    html: Html
    headers: Headers
    attachments: Attachments
    attachment_limit: int | None = Field(
        default=None, description=f"{_ATTACHMENT_LIMIT}; absent: the operator's limit"
    )
    body_limit: int | None = Field(
        default=None, description=f"{_BODY_LIMIT}; absent: the operator's limit"
    )

    @classmethod
    def of(cls, options: PayloadOptions) -> "PayloadResponse":
        """Return what is told of options."""
        return cls(**options.model_dump(mode="json"))


def check_payload(wanted: PayloadRequest, settings: PayloadSettings) -> None:
    """Refuse limits that are above the operator's, or below what every call needs."""
    _check_most("attachment_limit", wanted.attachment_limit, settings.webhook_attachment_limit)
    _check_most("body_limit", wanted.body_limit, settings.webhook_body_limit)
    if wanted.body_limit and wanted.body_limit < SMALLEST_BODY:
        raise Unprocessable(
            "payload_limit_too_low",
            f"payload.body_limit: {SMALLEST_BODY} is the least; 0 stands for the operator's limit.",
        )


def _check_most(name: str, wanted: int | None, most: int) -> None:
    if wanted is not None and wanted > most:
        raise Unprocessable(
            "payload_limit_too_high", f"payload.{name}: The operator allows {most} at most."
        )
