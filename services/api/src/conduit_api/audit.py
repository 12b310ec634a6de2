"""Writing the audit log: each handler says what was done; who and from where is read here."""

from conduit.model.audit import Action, AuditEntry
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit_api.context import Context
from conduit_api.operation import Call, I

_LONGEST_USER_AGENT = 200


async def record(
    call: Call[I], account_id: str, action: Action, subject: str | None = None, **details: str
) -> None:
    """Add an entry for what has happened; should the store be away, the operation answers 503."""
    await call.context.audit_log.add(entry_of(call, account_id, action, subject, **details))


def entry_of(
    call: Call[I], account_id: str, action: Action, subject: str | None = None, **details: str
) -> AuditEntry:
    """Return the entry for what this call does, to be written later."""
    return AuditEntry(
        id=new_id(Prefix.AUDIT),
        account_id=account_id,
        action=action,
        subject=subject,
        remote_ip=call.client,
        user_agent=call.request.headers.get("User-Agent", "")[:_LONGEST_USER_AGENT],
        details=details,
        at=utc_now(),
    )


async def record_own(
    context: Context, account_id: str, action: Action, subject: str, **details: str
) -> None:
    """Add an entry for what Conduit did by itself, whoever's request led to it."""
    await context.audit_log.add(own_entry(account_id, action, subject, **details))


def own_entry(account_id: str, action: Action, subject: str, **details: str) -> AuditEntry:
    """Return the entry for what Conduit did by itself."""
    return AuditEntry(
        id=new_id(Prefix.AUDIT),
        account_id=account_id,
        action=action,
        subject=subject,
        remote_ip="",
        user_agent="",
        details=details,
        at=utc_now(),
    )
