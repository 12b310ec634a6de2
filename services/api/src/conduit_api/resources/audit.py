"""The audit log: what was done to an account's security, newest first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from conduit.model.audit import AuditEntry
from conduit_api.fields import Query, Response
from conduit_api.operation import AccountCall, Answer


class AuditLogQuery(Query):
    """How much of the log is wanted."""

    limit: Annotated[int, Field(ge=1, le=200, description="Number of entries")] = 50


class AuditEntryResponse(Response):
    """One action."""

    id: str
    action: str = Field(description="What was done, as `object.verb`")
    subject: str | None = Field(default=None, description="ID of what it was done to")
    remote_ip: str
    user_agent: str
    details: Mapping[str, str]
    at: datetime

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryResponse":
        """Return what is told of an entry."""
        return cls(
            id=entry.id,
            action=entry.action,
            subject=entry.subject,
            remote_ip=entry.remote_ip,
            user_agent=entry.user_agent,
            details=entry.details,
            at=entry.at,
        )


async def newest(call: AccountCall[AuditLogQuery]) -> Answer:
    """Return the account's newest entries."""
    entries = await call.context.audit_log.newest(call.account_id, call.input.limit)
    return Answer([AuditEntryResponse.of(entry) for entry in entries])
