"""Examples of every body, by the name of its schema; a test holds them against the models."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_WEBHOOK = "wh_01k4c8s6f3n9v2q7x5b1d0h8ja"
_DELIVERY = "dlv_01k4c9b2r8m4t6w3y0e5g7k1pz"
_LOG = "log_01k4c9b3d6s2h8n4v9a0c7f5xq"
_POLICY = "pol_01k4c8v0z5g7j3m9r1t6w2y4eb"
_SIGNED_UP = "2026-04-02T12:00:00Z"
_RECEIVED = "2026-04-02T12:30:00.512000Z"
_ATTEMPTED = "2026-04-02T12:30:00.534000Z"
_ANSWERED = "2026-04-02T12:30:00.618000Z"
_SECRET = "7f3b9c1d5e8a2046b7d9f0c3a6e1548b"  # noqa: S105  an example
_TOKEN = "Xk3vR8mQ2tY6wZ9bN4cH7jL1pS5dF0gA"  # noqa: S105  an example
_CODES = ["7KQ4M-X2VPD", "B3H9T-6WNRC"]

_DELIVERED: Json = {
    "id": _DELIVERY,
    "webhook_id": _WEBHOOK,
    "state": "delivered",
    "smtp_message_id": "<20260402123000.1@mail.example.org>",
    "sender": "alice@example.org",
    "recipients": ["orders@mail.example.com"],
    "subject": "Order 1234",
    "size": 4096,
    "attempts": 1,
    "received_at": _RECEIVED,
    "updated_at": _ANSWERED,
    "authentication": {
        "spf": {"result": "pass", "scope": "mailfrom", "domain": "example.org"},
        "dkim": [
            {
                "result": "pass",
                "domain": "example.org",
                "selector": "s1",
                "algorithm": "rsa-sha256",
            }
        ],
        "dmarc": {"result": "pass", "domain": "example.org", "policy": "reject"},
        "arc": {"result": "none", "instances": 0},
    },
}
_POLICY_FIELDS: Json = {
    "name": "Office",
    "allowed_source_ips": "192.0.2.0/24,2001:db8::/32",
    "require_smtp_auth": False,
    "smtp_credentials": "",
    "require_spf": True,
    "allowed_spf_domains": "example.org",
    "require_dkim": True,
    "allowed_dkim_domains": "example.org",
}
_ALICE: Json = {"name": "Alice", "address": "alice@example.org"}

EXAMPLES: Mapping[str, Json] = {
    "AccountResponse": {
        "id": "acc_01k4c8q9w5e7r2t4y6u8i0p1as",
        "email": "you@example.com",
        "timezone": "Europe/Berlin",
        "created_at": _SIGNED_UP,
        "updated_at": _SIGNED_UP,
    },
    "ApiTokenResponse": {
        "id": "tok_01k4c8x7d3f5h9k1m6n8q2s4vz",
        "name": "Deployment",
        "hint": "F0gA",
        "scopes": ["read"],
        "allowed_ips": ["192.0.2.0/24"],
        "created_at": _SIGNED_UP,
        "expires_at": "2027-04-02T12:00:00Z",
    },
    "AuditEntryResponse": {
        "id": "al_01k4c8t1b6d8g0j2l4n6p8r3ux",
        "action": "webhook.created",
        "subject": _WEBHOOK,
        "remote_ip": "192.0.2.17",
        "user_agent": "curl/8.14.1",
        "details": {},
        "at": _SIGNED_UP,
    },
    "BackupCodesResponse": {"backup_codes": _CODES},
    "ChangePasswordRequest": {
        "current_password": "correct horse battery",
        "new_password": "staple battery horse correct",
    },
    "CompleteTOTPRequest": {"totp_token": _TOKEN, "code": "492039"},
    "ConfirmEmailRequest": {"token": _TOKEN},
    "ConfirmPasswordResetRequest": {
        "token": _TOKEN,
        "new_password": "staple battery horse correct",
    },
    "CreateAccountRequest": {"email": "you@example.com", "password": "correct horse battery"},
    "CreateApiTokenRequest": {
        "name": "Deployment",
        "scopes": ["read"],
        "allowed_ips": ["192.0.2.0/24"],
    },
    "CreateDomainRequest": {"name": "mail.example.com"},
    "CreateSessionRequest": {"email": "you@example.com", "password": "correct horse battery"},
    "CreateSmtpSecurityPolicyRequest": _POLICY_FIELDS,
    "CreateWebhookRequest": {
        "target_url": "https://example.com/hooks/mail",
        "custom_headers": {"X-Tenant": "acme"},
        "payload": {"html": False, "attachments": "links"},
        "rate_limit": 600,
    },
    "DeleteAccountRequest": {"password": "correct horse battery"},
    "DeleteSessionRequest": {"refresh_token": _TOKEN},
    "DeliveryDetailResponse": {
        **_DELIVERED,
        "message_kept": True,
        "timeline": [
            {"event": "received", "at": _RECEIVED},
            {
                "event": "attempt",
                "at": _ATTEMPTED,
                "log_id": _LOG,
                "attempt": 1,
                "status": "delivered",
                "http_status": 200,
                "duration_ms": 84,
            },
        ],
    },
    "DeliveryLogResponse": {
        "id": _LOG,
        "webhook_id": _WEBHOOK,
        "delivery_id": _DELIVERY,
        "attempt": 1,
        "status": "delivered",
        "smtp_message_id": "<20260402123000.1@mail.example.org>",
        "sender": "alice@example.org",
        "http_status": 200,
        "response": "ok",
        "duration_ms": 84,
        "attempted_at": _ATTEMPTED,
        "simulated": False,
    },
    "DeliveryResponse": _DELIVERED,
    "DomainResponse": {
        "id": "dom_01k4c8w3x5z7b9d1f4h6k8m0pq",
        "account_id": "acc_01k4c8q9w5e7r2t4y6u8i0p1as",
        "name": "mail.example.com",
        "is_public": False,
        "verified": False,
        "verification_token": "conduit-verify-4f1d8b2a7c6e9053",
        "created_at": _SIGNED_UP,
        "updated_at": _SIGNED_UP,
    },
    "EnableTOTPRequest": {"code": "492039"},
    "MessageResponse": {
        "delivery_id": _DELIVERY,
        "size": 4096,
        "received_at": _RECEIVED,
        "smtp_message_id": "<20260402123000.1@mail.example.org>",
        "subject": "Order 1234",
        "date": "2026-04-02T12:29:58Z",
        "header_from": _ALICE,
        "header_to": [{"name": "", "address": "orders@mail.example.com"}],
        "cc": [],
        "reply_to": [],
        "headers": {"X-Mailer": ["Example 1.0"]},
        "text": "Two boxes, please.\n",
        "text_truncated": False,
        "html_truncated": False,
        "attachments": [
            {
                "filename": "order.pdf",
                "content_type": "application/pdf",
                "inline": False,
                "size": 2048,
            }
        ],
        "notes": [],
    },
    "RefreshSessionRequest": {"refresh_token": _TOKEN},
    "ReplayDeliveriesRequest": {"state": "failed", "from": _SIGNED_UP, "limit": 100},
    "ReplayDeliveriesResponse": {"queued": 12, "not_kept": 1, "more": False},
    "ReplayResponse": {
        "delivery_id": "dlv_01k4cb7h2k4m6p8r0t3v5x7z9c",
        "replay_of": _DELIVERY,
    },
    "RequestPasswordResetRequest": {"email": "you@example.com"},
    "SessionResponse": {
        "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJhY2NfMDEifQ.c2ln",
        "refresh_token": _TOKEN,
        "expires_in": 900,
    },
    "SetupTOTPResponse": {
        "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "otpauth_url": "otpauth://totp/Conduit:you%40example.com"
        "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Conduit",
        "qr_code_png": "data:image/png;base64,iVBORw0KGgo=",
    },
    "SimulateWebhookRequest": {
        "from": "alice@example.org",
        "subject": "Order 1234",
        "text": "Two boxes, please.",
    },
    "SimulationResponse": {"http_status": 200, "duration_ms": 84, "simulated": True},
    "SmtpSecurityPolicyResponse": {
        "id": _POLICY,
        **_POLICY_FIELDS,
        "created_at": _SIGNED_UP,
        "updated_at": _SIGNED_UP,
    },
    "TOTPChallengeResponse": {"totp_required": True, "totp_token": _TOKEN},
    "TOTPCodeRequest": {"code": "492039"},
    "UpdateSmtpSecurityPolicyRequest": {"require_dkim": False},
    "UpdateTimezoneRequest": {"timezone": "Europe/Berlin"},
    "UpdateWebhookRequest": {
        "target_url": "https://example.com/hooks/mail/2",
        "active": True,
        "payload": {"headers": False, "body_limit": 1_048_576},
    },
    "WebhookResponse": {
        "id": _WEBHOOK,
        "address": "orders@mail.example.com",
        "target_url": "https://example.com/hooks/mail",
        "active": True,
        "custom_headers": {"X-Tenant": "acme"},
        "payload": {"text": True, "html": False, "headers": True, "attachments": "links"},
        "rate_limit": 600,
        "delivery_mode": "queued",
        "smtp_security_policy_id": _POLICY,
        "paused_at": "2026-04-09T08:00:00Z",
        "failing_since": "2026-04-04T08:00:00Z",
        "created_at": _SIGNED_UP,
        "updated_at": _SIGNED_UP,
    },
}

MAIL = "From: Alice <alice@example.org>\r\nSubject: Order 1234\r\n\r\nTwo boxes, please.\r\n"
"""What a mail downloaded as it was received looks like."""

ERRORS: Mapping[int, Json] = {
    400: {"error": "name is required.", "code": "missing_field"},
    401: {"error": "The access token is not valid or has expired.", "code": "unauthorized"},
    403: {
        "error": "This needs an API token with the scope write.",
        "code": "insufficient_scope",
    },
    404: {"error": "This resource does not exist.", "code": "not_found"},
    408: {"error": "The request's body did not arrive.", "code": "request_timeout"},
    409: {"error": "This address is taken.", "code": "address_taken"},
    413: {
        "error": "The request's body may have 1048576 bytes at most.",
        "code": "body_too_large",
    },
    415: {
        "error": "The request's Content-Type must be application/json.",
        "code": "unsupported_media_type",
    },
    422: {
        "error": "rate_limit: Input should be greater than or equal to 0",
        "code": "validation_error",
    },
    429: {
        "error": "Too many attempts; try again in 30 seconds.",
        "code": "too_many_requests",
    },
    503: {
        "error": "Conduit cannot do this at the moment; try again soon.",
        "code": "unavailable",
    },
}
"""What errors look like, by status; an operation's own codes are in the guide."""

OWN_ERRORS: Mapping[tuple[str, int], Json] = {
    ("confirmEmail", 401): {"error": "This token is not valid.", "code": "invalid_token"},
    ("confirmPasswordReset", 401): {"error": "This token is not valid.", "code": "invalid_token"},
    ("createAccount", 409): {"error": "This e-mail is registered.", "code": "email_taken"},
    ("createApiToken", 409): {"error": "No more API tokens.", "code": "too_many_tokens"},
    ("createDomainClaim", 409): {"error": "It is claimed.", "code": "domain_already_claimed"},
    ("createDomainClaim", 422): {"error": "No domain name.", "code": "invalid_domain_name"},
    ("createSession", 401): {"error": "Wrong credentials.", "code": "invalid_credentials"},
    ("createSession", 403): {"error": "Not confirmed yet.", "code": "email_not_confirmed"},
    ("createSmtpSecurityPolicy", 409): {"error": "No more.", "code": "too_many_policies"},
    ("deleteDomain", 409): {"error": "Webhooks are on it.", "code": "domain_in_use"},
    ("deleteSmtpSecurityPolicy", 409): {"error": "It is in use.", "code": "policy_in_use"},
    ("disableTOTP", 401): {"error": "Wrong code.", "code": "invalid_totp_code"},
    ("disableTOTP", 422): {"error": "Not enabled.", "code": "totp_not_enabled"},
    ("enableTOTP", 401): {"error": "Wrong code.", "code": "invalid_totp_code"},
    ("enableTOTP", 409): {"error": "It is enabled.", "code": "totp_already_enabled"},
    ("enableTOTP", 422): {"error": "Not set up yet.", "code": "totp_not_set_up"},
    ("refreshSession", 401): {"error": "Sign in again.", "code": "invalid_refresh_token"},
    ("regenerateBackupCodes", 401): {"error": "Wrong code.", "code": "invalid_totp_code"},
    ("regenerateBackupCodes", 422): {"error": "Not enabled.", "code": "totp_not_enabled"},
    ("completeTOTPSession", 401): {"error": "Wrong code.", "code": "invalid_totp_code"},
    ("replayDeliveries", 409): {"error": "It is inactive.", "code": "webhook_inactive"},
    ("replayDeliveryLog", 409): {"error": "It is not kept.", "code": "message_not_kept"},
    ("setupTOTP", 409): {"error": "It is enabled.", "code": "totp_already_enabled"},
    ("verifyDomain", 409): {"error": "Another has it.", "code": "domain_taken"},
    ("verifyDomain", 422): {
        "error": "The TXT record was not found.",
        "code": "domain_verification_failed",
    },
}
"""What an operation's own errors look like, where their codes say more."""
