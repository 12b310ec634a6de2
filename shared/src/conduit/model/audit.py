"""The audit log: what was done to an account's security, by whom and from where."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conduit.model.record import Frozen


class Action(StrEnum):
    """What was done: a closed set, named `object.verb`."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_EMAIL_CONFIRMED = "account.email_confirmed"
    ACCOUNT_TIMEZONE_CHANGED = "account.timezone_changed"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 (names of actions)
    PASSWORD_RESET_REQUESTED = "password.reset_requested"  # noqa: S105
    PASSWORD_RESET = "password.reset"  # noqa: S105
    TOTP_SET_UP = "totp.set_up"
    TOTP_ENABLED = "totp.enabled"
    TOTP_DISABLED = "totp.disabled"
    BACKUP_CODES_REGENERATED = "backup_codes.regenerated"
    BACKUP_CODE_USED = "backup_code.used"
    SESSION_CREATED = "session.created"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SESSION_REUSE_DETECTED = "session.reuse_detected"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_DELETED = "token.deleted"  # noqa: S105
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105
    WEBHOOK_ADDRESS_LOST = "webhook.address_lost"
    WEBHOOK_PAUSED = "webhook.paused"
    WEBHOOK_RESUMED = "webhook.resumed"
    POLICY_CREATED = "policy.created"
    POLICY_UPDATED = "policy.updated"
    POLICY_DELETED = "policy.deleted"
    DOMAIN_CLAIMED = "domain.claimed"
    DOMAIN_VERIFIED = "domain.verified"
    DOMAIN_DELETED = "domain.deleted"
    DELIVERIES_REPLAYED = "deliveries.replayed"


class AuditEntry(Frozen):
    """One entry. `subject` is the id of what it was done to; `details` hold no secrets."""

    id: str
    account_id: str
    action: Action
    subject: str | None
    remote_ip: str
    user_agent: str
    details: Mapping[str, str] = Field(default_factory=dict)
    at: datetime
