"""What is recorded of a mail: where it stands, each attempt, and the mail itself."""

import logging
from datetime import datetime

from prometheus_client import Counter

from conduit.events import MailAccepted
from conduit.mail.parse import ParsedMail
from conduit.model.delivery import Attempt, Delivery, DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.webhook import Webhook
from conduit_dispatcher.answers import Answer

log = logging.getLogger(__name__)

ATTEMPTS = Counter("conduit_dispatcher_attempts", "Webhook calls, by their result.", ["result"])

_COUNTED = {result: ATTEMPTS.labels(result) for result in Result}


def attempt_of(
    event: MailAccepted, mail: ParsedMail | None, answer: Answer, now: datetime
) -> Attempt:
    """Return the record of an attempt that has just been made."""
    return Attempt(
        id=new_id(Prefix.LOG),
        delivery_id=event.delivery_id,
        webhook_id=event.webhook_id,
        number=event.attempt,
        smtp_message_id=mail.message_id if mail else None,
        sender=event.envelope.mail_from,
        result=answer.result,
        http_status=answer.http_status,
        error=answer.error,
        duration_ms=answer.duration_ms,
        attempted_at=now,
        response=answer.response,
        replay_of=event.replay_of,
    )


def delivery_of(
    event: MailAccepted,
    webhook: Webhook,
    mail: ParsedMail | None,
    state: DeliveryState,
    next_attempt_at: datetime | None,
    now: datetime,
) -> Delivery:
    """Return where a mail stands, the attempt of this event being made."""
    return Delivery(
        id=event.delivery_id,
        webhook_id=webhook.id,
        account_id=webhook.account_id,
        message_id=event.message_id,
        smtp_message_id=mail.message_id if mail else None,
        sender=event.envelope.mail_from,
        recipients=event.envelope.recipients,
        subject=mail.subject if mail else None,
        size=event.size,
        state=state,
        attempts=event.attempt,
        next_attempt_at=next_attempt_at,
        received_at=event.received_at,
        updated_at=now,
        replay_of=event.replay_of,
        helo=event.envelope.helo,
        remote_ip=event.envelope.remote_ip,
        tls=event.envelope.tls,
        authenticated_as=event.envelope.authenticated_as,
        tag=event.envelope.tag,
        shared=event.shared,
        authentication=event.authentication,
    )


def mail_to_keep(event: MailAccepted) -> Message | None:
    """Return the mail to be kept with its first record; what travels by reference is kept."""
    if event.raw is None or event.on_record:
        return None
    return Message(event.message_id, event.received_at, event.raw)


def tell(attempt: Attempt, delivery: Delivery) -> None:
    """Log and count an attempt, when it is on record."""
    _COUNTED[attempt.result].inc()
    log.info(
        "delivery.attempted",
        extra={
            "delivery_id": delivery.id,
            "message_id": delivery.message_id,
            "webhook_id": delivery.webhook_id,
            "account_id": delivery.account_id,
            "replay_of": delivery.replay_of,
            "log_id": attempt.id,
            "attempt": attempt.number,
            "result": attempt.result,
            "http_status": attempt.http_status,
            "error": attempt.error,
            "duration_ms": attempt.duration_ms,
            "next_attempt_at": delivery.next_attempt_at,
        },
    )
