"""What a webhook's owner wants to find in its calls, and how large they may be."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

SMALLEST_BODY = 64 * 1024
"""Octets that a call's body may always have: whatever the mail, the fields that are always there
take less, up to 100 recipients with the longest addresses included."""


class AttachmentMode(StrEnum):
    """How attachments come: with their contents, with links to these, or described only."""

    INLINE = "inline"
    LINKS = "links"
    NONE = "none"


class PayloadOptions(BaseModel):
    """Which of a mail's parts a call has.

    `text` is about the stripped text of replies, too. `attachment_limit` is in octets of all
    contents in one call, `body_limit` in octets of the call's body; None is the operator's, who
    limits both. What is unknown is ignored, as a newer Conduit may have written it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: bool = True
    html: bool = True
    headers: bool = True
    attachments: AttachmentMode = AttachmentMode.INLINE
    attachment_limit: int | None = Field(default=None, ge=0)
    body_limit: int | None = Field(default=None, ge=SMALLEST_BODY)


EVERYTHING = PayloadOptions()
"""What webhooks have whose owner asked for nothing else."""
