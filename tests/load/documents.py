"""Ready-made documents of a delivered mail: what is written of it, and not what made it."""

from datetime import timedelta
from typing import Any

from conduit.events import MailAccepted
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from tests.load.signed_mail import HELO, SENDER

COLLECTIONS = ("deliveries", "delivery_logs", "messages")
"""Where they are written, in their order."""

_MONTH = timedelta(days=30)


def documents_of(event: MailAccepted) -> tuple[dict[str, Any], ...]:
    """Return documents as the dispatcher writes them, with all their fields."""
    now = utc_now()
    delivery = {
        "_id": event.delivery_id,
        "webhook_id": event.webhook_id,
        "account_id": event.webhook_id,
        "message_id": event.message_id,
        "smtp_message_id": "<1@sender.example>",
        "sender": SENDER,
        "recipients": list(event.envelope.recipients),
        "subject": "A mail as it comes",
        "size": event.size,
        "state": "delivered",
        "attempts": 1,
        "next_attempt_at": None,
        "received_at": event.received_at,
        "updated_at": now,
        "replay_of": None,
        "replayed_at": None,
        "helo": HELO,
        "remote_ip": "127.0.0.1",
        "tls": None,
        "authenticated_as": None,
        "tag": None,
        "shared": False,
        "authentication": None,
        "expires_at": now + _MONTH,
    }
    attempt = {
        "_id": new_id(Prefix.LOG),
        "delivery_id": event.delivery_id,
        "webhook_id": event.webhook_id,
        "number": 1,
        "smtp_message_id": "<1@sender.example>",
        "sender": SENDER,
        "result": "delivered",
        "http_status": 200,
        "error": None,
        "duration_ms": 3,
        "attempted_at": now,
        "response": None,
        "replay_of": None,
        "simulated": False,
        "expires_at": now + _MONTH,
    }
    mail = {
        "_id": f"{event.message_id}:0",
        "chunks": 1,
        "data": event.raw,
        "expires_at": now + _MONTH,
    }
    return delivery, attempt, mail
