"""The health of an endpoint that fails: since when, and until when it is not called."""

from datetime import datetime

from pydantic import Field

from conduit.model.record import Frozen


class EndpointHealth(Frozen):
    """What is known of a webhook's endpoint while it fails; of others there is none.

    `failures` counts the calls since `failing_since` that failed in a way that may pass, with none
    between them that was answered otherwise; `last_error` and `last_failed_at` are of the latest
    one. Before `retry_at` there are no calls at all, None: there are. `pauses` counts how often in
    a row they were stopped, so that the pauses grow. `noticed_at` is when it was noted last
    that the webhook's owner is to be told; before `leased_until` nobody need look at that again.
    `version` counts the changes, as in a record; it is 0 as long as nothing is kept.
    """

    webhook_id: str
    version: int = 0
    failing_since: datetime
    failures: int = Field(ge=1)
    last_error: str
    last_failed_at: datetime
    retry_at: datetime | None = None
    pauses: int = Field(default=0, ge=0)
    noticed_at: datetime | None = None
    leased_until: datetime | None = None
